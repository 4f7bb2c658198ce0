"""Coming in: temporary passwords, sign-ins and their rotation, API keys, tickets; and what ends them."""

import time

import jwt
import pytest
from sqlalchemy import select, text, update
from tests.support.api import PASSWORD, Api, Person

from timeside_api.http.accounts import administration
from timeside_api.identity import ApiKey, Role, SignIn
from timeside_core.errors import ParameterError
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration

NEW = "another password, longer"


async def status(api: Api, token: str, path: str = "/v1/me") -> int:
    return (await api.client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_the_first_account_is_an_administrator_whose_password_serves_once(api: Api):
    password = await administration.first(api.database)
    assert password is not None
    assert await administration.first(api.database) is None
    credentials = {"name": "admin", "password": password}
    refused = await api.client.post("/v1/auth/token", json=credentials)
    assert (refused.status_code, refused.json()["code"]) == (403, "password-temporary")
    changed = await api.client.post("/v1/auth/password", json=credentials | {"new_password": NEW})
    me = await api.client.get("/v1/me", headers={"Authorization": f"Bearer {changed.json()['access_token']}"})
    assert me.json()["role"] == "admin"
    assert (await api.client.post("/v1/auth/password", json=credentials | {"new_password": NEW})).status_code == 401


async def test_a_reset_or_disabled_account_is_out_at_once(api: Api, ada: Person):
    key = (await api.client.post("/v1/api-keys", json={"name": "k"}, headers=ada.headers)).json()["key"]
    await administration.reset(api.database, "ada")
    assert (await api.client.get("/v1/me", headers=ada.headers)).status_code == 401
    assert await status(api, key) == 200
    await administration.disable(api.database, "ada")
    assert await status(api, key) == 401


async def test_operators_are_told_what_is_wrong(api: Api, ada: Person):
    for name in ("Ada", "", "a b", "x" * 65):
        with pytest.raises(ParameterError, match="name"):
            await administration.add(api.database, name, Role.USER)
    with pytest.raises(administration.AccountError, match="is there already"):
        await administration.add(api.database, "ada", Role.USER)
    with pytest.raises(administration.AccountError, match="no account"):
        await administration.reset(api.database, "eve")
    assert [each.name for each in await administration.every(api.database)] == ["ada"]


async def test_wrong_names_and_wrong_passwords_look_the_same(api: Api, ada: Person):
    answers = [
        (await api.client.post("/v1/auth/token", json={"name": name, "password": "wrong"})).json()
        for name in ("ada", "nobody")
    ]
    for each in answers:
        del each["trace_id"]
    assert answers[0] == answers[1]


async def test_guesses_are_bounded(api: Api, ada: Person):
    throttle = api.app.state.platform.throttle
    for _ in range(10):
        throttle.failed("127.0.0.1", "ada")
    answer = await api.client.post("/v1/auth/token", json={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 300


async def test_a_refresh_token_serves_once_and_its_copy_ends_the_sign_in(api: Api, ada: Person):
    first = await api.client.post("/v1/auth/refresh", json={"refresh_token": ada.refresh_token})
    second = await api.client.post("/v1/auth/refresh", json={"refresh_token": first.json()["refresh_token"]})
    assert (first.status_code, second.status_code) == (200, 200)
    assert await status(api, second.json()["access_token"]) == 200
    stolen = await api.client.post("/v1/auth/refresh", json={"refresh_token": first.json()["refresh_token"]})
    assert stolen.status_code == 401
    assert await status(api, second.json()["access_token"]) == 401
    after = await api.client.post("/v1/auth/refresh", json={"refresh_token": second.json()["refresh_token"]})
    assert after.status_code == 401


async def test_signing_out_ends_the_access_token_too(api: Api, ada: Person):
    assert (await api.client.post("/v1/auth/logout", headers=ada.headers)).status_code == 204
    assert (await api.client.get("/v1/me", headers=ada.headers)).status_code == 401


async def test_forged_expired_and_misused_tokens_are_refused(api: Api, ada: Person):
    access = ada.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(access, options={"verify_signature": False})
    secret = "s" * 32
    forged = [
        ada.refresh_token,
        access[:-4] + "AAAA",
        jwt.encode(claims, "another secret of 32 characters..", "HS256"),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, secret + secret, "HS512"),
        jwt.encode(claims | {"exp": int(time.time()) - 1}, secret, "HS256"),
        jwt.encode(claims | {"aud": "timeside:refresh"}, secret, "HS256"),
        jwt.encode(claims | {"iss": "else"}, secret, "HS256"),
        jwt.encode(claims | {"sid": str(uuid7())}, secret, "HS256"),
        jwt.encode({name: claims[name] for name in claims if name != "exp"}, secret, "HS256"),
        "",
        "x.y.z",
    ]
    assert [await status(api, each) for each in forged] == [401] * len(forged)
    assert await status(api, jwt.encode(claims, secret, "HS256")) == 200


async def test_an_api_key_is_kept_as_a_hash_and_ends_when_revoked_or_expired(api: Api, ada: Person):
    made = (await api.client.post("/v1/api-keys", json={"name": "k", "expires_in_days": 1}, headers=ada.headers)).json()
    listed = (await api.client.get("/v1/api-keys", headers=ada.headers)).json()["items"]
    assert made["key"].startswith(made["prefix"])
    assert listed == [{name: made[name] for name in made if name != "key"}]
    async with api.database.transaction() as session:
        row = (await session.scalars(select(ApiKey))).one()
    assert made["key"] not in str(vars(row))
    assert await status(api, made["key"]) == 200
    async with api.database.transaction() as session:
        await session.execute(update(ApiKey).values(expires_at=text("now() - interval '1 second'")))
    assert await status(api, made["key"]) == 401
    async with api.database.transaction() as session:
        await session.execute(update(ApiKey).values(expires_at=None))
    assert await status(api, made["key"]) == 200
    await api.client.delete(f"/v1/api-keys/{made['id']}", headers=ada.headers)
    assert await status(api, made["key"]) == 401


async def test_an_expired_sign_in_counts_no_more(api: Api, ada: Person):
    async with api.database.transaction() as session:
        await session.execute(update(SignIn).values(expires_at=text("now() - interval '1 second'")))
    assert (await api.client.get("/v1/me", headers=ada.headers)).status_code == 401
    answer = await api.client.post("/v1/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert answer.status_code == 401
