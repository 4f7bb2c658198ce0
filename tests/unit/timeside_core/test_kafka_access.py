"""How brokers are spoken to: combinations that cannot be meant are refused by name, and no secret is shown."""

from pathlib import Path

import pytest
import trustme

from timeside_core.bus import KafkaAccess
from timeside_core.errors import ParameterError
from timeside_core.settings import from_environment

TLS = {"TLS": "true"}
LOGIN = {"USERNAME": "ada", "PASSWORD": "hush-hush"}
FILES = ("CA", "CERTIFICATE", "KEY")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, ca = tmp_path_factory.mktemp("pem"), trustme.CA()
    own, other = ca.issue_cert("ada@localhost"), ca.issue_cert("bob@localhost")
    ca.cert_pem.write_to_path(folder / "ca.crt")
    own.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    own.private_key_pem.write_to_path(folder / "tls.key")
    own.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    other.private_key_pem.write_to_path(folder / "other.key")
    (folder / "secret.key").write_bytes(own.private_key_pem.bytes().replace(b"\n", b"\nProc-Type: 4,ENCRYPTED\n", 1))
    (folder / "words").write_text("hush-hush")
    return folder


def read(folder: Path, given: dict[str, str]) -> KafkaAccess:
    values = {name: str(folder / value) if name in FILES else value for name, value in given.items()}
    return from_environment(KafkaAccess, {f"TIMESIDE_KAFKA_{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({}, "PLAINTEXT"),
        (LOGIN, "SASL_PLAINTEXT"),
        (TLS, "SSL"),
        (TLS | {"CA": "ca.crt"}, "SSL"),
        (TLS | {"CERTIFICATE": "tls.crt", "KEY": "tls.key"}, "SSL"),
        (TLS | {"CERTIFICATE": "both.pem"}, "SSL"),
        (TLS | LOGIN, "SASL_SSL"),
        (TLS | LOGIN | {"MECHANISM": "PLAIN"}, "SASL_SSL"),
    ],
)
def test_what_is_given_decides_what_is_spoken(folder: Path, given: dict[str, str], protocol: str) -> None:
    access = read(folder, given)
    assert access.protocol == protocol
    assert "hush-hush" not in repr(access)
    if access.kafka_tls:
        assert access.ssl_context().check_hostname


def test_only_named_authorities_vouch_for_brokers(folder: Path) -> None:
    assert len(read(folder, TLS | {"CA": "ca.crt"}).ssl_context().get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"USERNAME": "ada"}, "KAFKA_PASSWORD: .*is needed with TIMESIDE_KAFKA_USERNAME"),
        ({"PASSWORD": "hush-hush"}, "KAFKA_PASSWORD: .*needs TIMESIDE_KAFKA_USERNAME"),
        ({"USERNAME": "", "PASSWORD": "hush-hush"}, "KAFKA_USERNAME: .*at least 1"),
        ({"USERNAME": "ada", "PASSWORD": ""}, "KAFKA_PASSWORD: .*at least 1"),
        (LOGIN | {"MECHANISM": "PLAIN"}, "KAFKA_MECHANISM: .*needs TIMESIDE_KAFKA_TLS=true"),
        (LOGIN | {"MECHANISM": "hush-hush"}, "KAFKA_MECHANISM: Input should be 'SCRAM-SHA-512'"),
        ({"CA": "ca.crt"}, "KAFKA_CA: .*needs TIMESIDE_KAFKA_TLS=true"),
        ({"CERTIFICATE": "both.pem"}, "KAFKA_CERTIFICATE: .*needs TIMESIDE_KAFKA_TLS=true"),
        (TLS | {"KEY": "tls.key"}, "KAFKA_KEY: .*needs TIMESIDE_KAFKA_CERTIFICATE"),
        (TLS | {"CERTIFICATE": "tls.crt"}, "KAFKA_KEY: .*tls.crt must hold the key"),
        (TLS | {"CERTIFICATE": "tls.crt", "KEY": "other.key"}, "KAFKA_KEY: .*other.key must hold the key"),
        (TLS | {"CERTIFICATE": "tls.crt", "KEY": "secret.key"}, "KAFKA_KEY: .*without a passphrase"),
        (TLS | {"CERTIFICATE": "tls.crt", "KEY": "nowhere"}, "KAFKA_KEY: .*nowhere cannot be read: No such file"),
        (TLS | {"CERTIFICATE": "nowhere", "KEY": "tls.key"}, "^TIMESIDE_KAFKA_CERTIFICATE: .*nowhere cannot be read"),
        (TLS | {"CA": "words"}, "KAFKA_CA: .*words must hold certificates"),
        (TLS | {"CA": "."}, "KAFKA_CA: .*Is a directory"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(folder: Path, given: dict[str, str], told: str) -> None:
    with pytest.raises(ParameterError, match=told) as refusal:
        read(folder, given)
    assert "hush-hush" not in str(refusal.value)


def test_a_key_in_place_of_its_file_is_not_shown(folder: Path) -> None:
    pem = (folder / "tls.key").read_text()
    with pytest.raises(ParameterError, match="must name a PEM file, but holds PEM itself") as refusal:
        read(folder, TLS | {"CERTIFICATE": "tls.crt", "KEY_FILE": str(folder / "tls.key")})
    assert pem.splitlines()[1] not in str(refusal.value)


def test_a_password_may_be_in_a_file(folder: Path) -> None:
    access = read(folder, {"USERNAME": "ada", "PASSWORD_FILE": str(folder / "words")})
    assert access.kafka_password is not None
    assert access.kafka_password.get_secret_value() == "hush-hush"
