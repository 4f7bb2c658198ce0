"""Settings from the environment, probes, logs."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import pytest

from timeside_core.errors import ParameterError, StoreError
from timeside_core.stage.log import JsonFormatter
from timeside_core.stage.metrics import OPEN_RUNS
from timeside_core.stage.probes import Probes
from timeside_core.stage.settings import StageSettings
from timeside_decoder.stage import MediaFiles


def test_settings_are_read_from_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "bootstrap").write_text("broker:9092\n")
    environ = {
        "TIMESIDE_KAFKA_BOOTSTRAP_FILE": str(tmp_path / "bootstrap"),
        "TIMESIDE_LANES": "interactive, bulk",
        "TIMESIDE_DRAIN_S": "5",
        "TIMESIDE_HOME": str(tmp_path / "home"),
        "PATH": "/bin",
    }
    settings = StageSettings.of_environment(environ)
    assert settings.kafka_bootstrap == "broker:9092"
    assert settings.lanes == ("interactive", "bulk")
    assert settings.drain_s == 5
    assert settings.store == (tmp_path / "home" / "store").as_uri()
    assert settings.scratch_folder.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match=r"TIMESIDE_SCRATCH: .*file/scratch cannot be made: Not a directory"):
        _ = StageSettings(scratch=tmp_path / "file" / "scratch").scratch_folder
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "media").touch()
    with pytest.raises(StoreError, match=r"store/media cannot be made: File exists"):
        MediaFiles(StageSettings(store_url=(tmp_path / "store").as_uri(), scratch=tmp_path))


def test_a_bad_setting_is_named() -> None:
    with pytest.raises(ParameterError, match="TIMESIDE_CHILDREN"):
        StageSettings.of_environment({"TIMESIDE_CHILDREN": "none"})


async def test_probes() -> None:
    state = {"ready": False}
    async with Probes("127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: state["ready"]) as probes:
        assert (await get(probes.port, "/livez"))[0] == 200
        assert (await get(probes.port, "/readyz"))[0] == 503
        state["ready"] = True
        assert (await get(probes.port, "/readyz"))[0] == 200
        status, body = await get(probes.port, "/metrics")
        assert status == 200
        assert OPEN_RUNS.describe()[0].name in body
        assert (await get(probes.port, "/elsewhere"))[0] == 404


async def get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_logs_are_json_with_what_was_given() -> None:
    record = logging.LogRecord("a", logging.ERROR, __file__, 1, "lost %d", (3,), None)
    record.run_id = "r"
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = json.loads(JsonFormatter("decoder").format(record))
    assert (line["service"], line["level"], line["message"], line["run_id"]) == ("decoder", "error", "lost 3", "r")
    assert "why" in line["trace"]
