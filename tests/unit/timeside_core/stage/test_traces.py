"""Traces go on where a message says so, and cost nothing where nobody wants them."""

import pytest
from pydantic import ValidationError

from timeside_core.stage import traces
from timeside_core.stage.traces import TraceSettings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_is_handed_on_by_who_records_nothing():
    with traces.exporting("decoder", TraceSettings()):
        span = traces.begin("decoder", PARENT, {})
        assert not span.is_recording()
        assert traces.headers(span) == {"traceparent": PARENT.encode()}
        assert traces.parent({"traceparent": PARENT.encode()}) == PARENT


@pytest.mark.parametrize("named", [None, "", "no trace", PARENT.replace("0af", "xyz"), "\ufffd"])
def test_what_names_no_trace_is_none(named: str | None):
    span = traces.begin("decoder", named, {})
    assert traces.headers(span) is None
    assert (traces.current(), traces.current_id()) == (None, None)


def test_headers_of_others_are_no_matter():
    assert traces.parent({}) is None
    assert traces.parent({"traceparent": b"\xff"}) == "\ufffd"


@pytest.mark.parametrize("given", [{"traces_url": "collector:4318"}, {"traces_ratio": 1.1}, {"traces_ratio": -0.1}])
def test_wrong_settings_are_refused(given: dict[str, object]):
    with pytest.raises(ValidationError):
        TraceSettings.model_validate(given)
