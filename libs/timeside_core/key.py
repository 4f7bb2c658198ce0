"""The key of a result: the same key means the same result, computed once however many ask."""

import hashlib
from collections.abc import Sequence
from typing import Any

import rfc8785

from timeside_core.audio import Segment
from timeside_core.errors import ParameterError
from timeside_core.processor import Effect, Processor


def digest(processor: Processor, *, effects: Sequence[Effect] = (), segment: Segment | None = None) -> str:
    """SHA-256, hexadecimal, of all that a result depends on besides the media.

    It is taken over the JSON canonicalisation scheme (RFC 8785) of the processor's identity (fully defaulted
    parameters, nested processors with id and version), the identities of the effects upstream, and the segment in
    samples. Together with the media's SHA-256, the processor's id and its version it is the key of the result.
    """
    value: dict[str, Any] = {"processor": processor.identity()}
    if effects:
        value["effects"] = [effect.identity() for effect in effects]
    if segment is not None and not segment.whole:
        value["segment"] = {"first_sample": segment.first_sample, "samples": segment.samples}
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    except rfc8785.CanonicalizationError as error:
        raise ParameterError(f"{processor.label()}: parameters have no canonical JSON: {error}") from error
