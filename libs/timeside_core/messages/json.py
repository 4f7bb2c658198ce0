"""JSON of messages: within its bound, and never anything but a message or a `PoisonError`."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from timeside_core.errors import MessageSizeError, PoisonError
from timeside_core.messages.models import JsonMessage

MAX_JSON_BYTES = 1 << 18
"""A plan with hundreds of processors takes a tenth; what is larger belongs into the store."""


def to_json(message: JsonMessage) -> bytes:
    """Its bytes; raises `MessageSizeError`."""
    encoded = message.model_dump_json().encode()
    if len(encoded) > MAX_JSON_BYTES:
        raise MessageSizeError(f"{type(message).__name__} of {len(encoded)} bytes is longer than {MAX_JSON_BYTES}")
    return encoded


def from_json(adapter: "TypeAdapter[Any]", value: memoryview) -> Any:
    """A message from its bytes; raises `PoisonError` that says why not."""
    if len(value) > MAX_JSON_BYTES:
        raise PoisonError(f"JSON of {len(value)} bytes is longer than {MAX_JSON_BYTES}")
    try:
        message: JsonMessage = adapter.validate_json(bytes(value))
    except ValidationError as error:
        raise PoisonError(_reasons(error)) from None
    if unsaid := {"kind", "version"} - message.model_fields_set:
        raise PoisonError(f"{type(message).__name__} does not say its {' and '.join(sorted(unsaid))}")
    return message


def _reasons(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [f"{'.'.join(str(part) for part in each['loc']) or 'message'}: {each['msg']}" for each in details[:3]]
    more = f"; and {len(details) - 3} more" if len(details) > 3 else ""
    return "; ".join(reasons) + more
