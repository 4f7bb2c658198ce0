"""Settings come from the environment, secrets also from files, and never into an error."""

from pathlib import Path

import pytest

from timeside_api.__main__ import ROLES
from timeside_api.database import Database
from timeside_api.errors import DatabaseError
from timeside_api.settings import ApiSettings
from timeside_core.errors import ParameterError
from timeside_core.settings import from_environment

URL = "postgresql://timeside:s3cret@db/timeside"


def test_variables_and_files(tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text(f"{URL}\n")
    environ = {"TIMESIDE_DATABASE_URL_FILE": str(secret), "TIMESIDE_LEASE_S": "12.5", "PATH": "/bin"}
    settings = from_environment(ApiSettings, environ)
    assert settings.database_url.get_secret_value() == URL
    assert settings.runs.lease_s == 12.5
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "rule"),
    [
        ({}, "TIMESIDE_DATABASE_URL: Field required"),
        ({"TIMESIDE_DATABASE_URL": URL, "TIMESIDE_LEASE_S": "s3cret"}, "TIMESIDE_LEASE_S: .* number"),
        ({"TIMESIDE_DATABASE_URL": URL, "TIMESIDE_LEASE_S": "-1"}, "TIMESIDE_LEASE_S: .* greater than 0"),
        ({"TIMESIDE_DATABASE_URL_FILE": "/nowhere/url"}, "TIMESIDE_DATABASE_URL_FILE: /nowhere/url cannot be read"),
    ],
)
def test_errors_name_variable_and_rule_and_no_value(environ: dict[str, str], rule: str):
    with pytest.raises(ParameterError, match=rule) as caught:
        from_environment(ApiSettings, environ)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3cret", "mysql://timeside:s3cret@db/timeside"])
def test_an_address_of_no_postgresql_is_refused_without_being_shown(url: str):
    with pytest.raises(DatabaseError) as caught:
        Database(url)
    assert "s3cret" not in str(caught.value)


def test_a_database_is_named_without_its_password():
    assert "s3cret" not in str(Database(URL))


def test_roles():
    assert {"dispatcher", "recorder"} <= ROLES.keys()
