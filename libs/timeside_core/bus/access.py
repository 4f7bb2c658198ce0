"""How brokers are spoken to: TLS, passwords, certificates; what is wrong with it is said before anything connects."""

import ssl
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

Mechanism: TypeAlias = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

_NEVER = b"-"
"""A passphrase for keys that have one: without any, OpenSSL would ask for it at the terminal."""


class KafkaAccess(BaseModel):
    """Settings of all that connect to Kafka; in plain and without a password where nothing is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kafka_tls: bool = False
    """Whether connections are encrypted, and brokers must show a certificate for the name they are reached by."""
    kafka_ca: Path | None = None
    """PEM file of the authorities that may vouch for brokers; those of the system where not given."""
    kafka_certificate: Path | None = None
    """PEM file of a certificate to show to brokers, followed by those between it and its authority."""
    kafka_key: Annotated[Path | None, Field(validate_default=True)] = None
    """PEM file of its key, without a passphrase; where not given, it is in the file of the certificate."""
    kafka_username: Annotated[str, Field(min_length=1)] | None = None
    """Name to log in by."""
    kafka_password: Annotated[SecretStr | None, Field(min_length=1, validate_default=True)] = None
    """Its password."""
    kafka_mechanism: Mechanism = "SCRAM-SHA-512"
    """How the password is proven; PLAIN sends it, and so needs TLS."""

    @field_validator("kafka_ca", "kafka_certificate")
    @classmethod
    def _is_a_file_for_tls(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None:
            if not info.data.get("kafka_tls", True):  # not there where it is wrong itself
                raise ValueError("needs TIMESIDE_KAFKA_TLS=true")
            _check_file(file)
        return file

    @field_validator("kafka_ca")
    @classmethod
    def _holds_authorities(cls, file: Path | None) -> Path | None:
        if file is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
            except ssl.SSLError:
                raise ValueError(f"{file} must hold certificates of authorities, as PEM") from None
        return file

    @field_validator("kafka_key")
    @classmethod
    def _fits_the_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if "kafka_certificate" not in info.data:  # it is wrong itself
            return file
        certificate: Path | None = info.data["kafka_certificate"]
        if file is not None:
            if certificate is None:
                raise ValueError("needs TIMESIDE_KAFKA_CERTIFICATE")
            _check_file(file)
        if certificate is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, file, lambda: _NEVER)
            except ssl.SSLError:
                raise ValueError(
                    f"{file or certificate} must hold the key of the certificate in {certificate}, both as PEM, "
                    "the key without a passphrase"
                ) from None
        return file

    @field_validator("kafka_password")
    @classmethod
    def _belongs_to_a_name(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        username = info.data.get("kafka_username", "")
        if username is None and password is not None:
            raise ValueError("needs TIMESIDE_KAFKA_USERNAME")
        if username and password is None:
            raise ValueError("is needed with TIMESIDE_KAFKA_USERNAME")
        return password

    @field_validator("kafka_mechanism")
    @classmethod
    def _hides_the_password(cls, mechanism: str, info: ValidationInfo) -> str:
        if mechanism == "PLAIN" and not info.data.get("kafka_tls", True):
            raise ValueError("PLAIN sends the password as it is, and so needs TIMESIDE_KAFKA_TLS=true")
        return mechanism

    @property
    def protocol(self) -> str:
        """Kafka's name of what is spoken."""
        return ("SASL_" if self.kafka_username else "") + ("SSL" if self.kafka_tls else "PLAINTEXT")

    def ssl_context(self) -> ssl.SSLContext:
        """A context of its own, from the files as they are now."""
        context = ssl.create_default_context(cafile=self.kafka_ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # private authorities often leave out what Python 3.13 wants
        if self.kafka_certificate is not None:
            context.load_cert_chain(self.kafka_certificate, self.kafka_key, lambda: _NEVER)
        return context


def _check_file(file: Path) -> None:
    if "-----BEGIN" in str(file):  # not to be repeated: it may be a key
        raise ValueError("must name a PEM file, but holds PEM itself")
    try:
        file.open("rb").close()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
