"""A short round of the fuzzer; `make fuzz` goes on for longer."""

from pathlib import Path

import pytest
from tests.support.fuzz import fuzz

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_drawn_requests_find_no_mistake_and_nothing_that_the_document_does_not_say(tmp_path: Path):
    done = fuzz(tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3", "--seed", "440")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "generated" in done.stdout
