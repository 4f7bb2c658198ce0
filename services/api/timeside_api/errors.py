"""What goes wrong between the platform and its database.

TimesideError
├── DatabaseError            the database cannot be had, or is not as it should be
│   └── SchemaError          its tables are of another revision than this program's
├── UnknownTaskError         no task has that id (also a KeyError)
├── UnknownMediaError        no media has that hash (also a KeyError)
├── IdempotencyError         one idempotency key, two different requests (also a ValueError)
└── QuotaError               somebody has as much as they may have
"""

from timeside_core.errors import TimesideError


class DatabaseError(TimesideError):
    """The database cannot be had, or is not as it should be."""


class SchemaError(DatabaseError):
    """The tables are of another revision than this program's."""


class _UnknownError(TimesideError, KeyError):
    def __str__(self) -> str:  # KeyError would show the repr of its message
        return str(self.args[0]) if self.args else ""


class UnknownTaskError(_UnknownError):
    """No task has that id."""


class UnknownMediaError(_UnknownError):
    """No media has that hash."""


class IdempotencyError(TimesideError, ValueError):
    """One idempotency key came with two different requests."""


class QuotaError(TimesideError):
    """Somebody has as much as they may have."""

    def __init__(self, name: str, used: int, limit: int) -> None:
        super().__init__(f"{name}: {used}, where {limit} is the limit")
        self.name, self.used, self.limit = name, used, limit
