"""What must be so of compose.yml, the images and their locks; all of it without an engine."""

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.deploy.stack import FILE, ROOT

from timeside.cli.settings import reasons
from timeside.worker import WorkerSettings
from timeside_api.http.settings import HttpSettings
from timeside_api.settings import ApiSettings
from timeside_core.settings import PREFIX

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("${IMAGE_PREFIX:-timeside}/")}
ONCE = {"secrets", "settings", "migrate", "topics"}
LOCKS = sorted((DEPLOY / "locks").glob("*.txt"))
TARGETS = set(re.findall(r"^FROM \S+ AS ([\w-]+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
EXAMPLE = dict(re.findall(r"^#(\w+)=(.*?)(?:  +#.*)?$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
"""What `.env.example` offers."""
NOTEBOOK = {"TIMESIDE_URL", "TIMESIDE_KEY"}
"""Variables of the example in the notebook, which are no settings."""


def fields() -> Iterator[tuple[str, Any]]:
    """Variables of all settings, and their defaults; those that workers and the API have in common are alike."""
    for model in (WorkerSettings, HttpSettings, ApiSettings):
        for name, each in model.model_fields.items():
            yield PREFIX + name.upper(), each.default


def test_the_file_follows_the_compose_specification():
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


def test_the_build_file_is_lint_free():
    done = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_has_no_more_rights_than_it_needs(name: str):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"] <= 1024
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert not {"privileged", "container_name", "cap_add", "devices", "network_mode"} & service.keys() - {
        "network_mode"
    }
    assert service.get("network_mode", "none") == "none"


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_read_only_and_drain_in_time(name: str):
    service = OURS[name]
    assert service["read_only"]
    assert service["init"]
    assert service["stop_grace_period"] == "35s"
    assert service.get("environment", {}).get("TIMESIDE_DRAIN_S", "20") == "20"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - OURS.keys()))
def test_images_of_others_are_pinned_and_watched(name: str):
    assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)*", SERVICES[name]["image"])
    assert SERVICES[name]["healthcheck"]["test"]


def test_only_the_api_is_reached_from_outside_and_only_live_sources_reach_it():
    published = {name for name, each in SERVICES.items() if "ports" in each}
    assert published == {"api", "grafana", "jaeger", "notebook"}
    assert all(port.startswith("${API_ADDRESS:-127.0.0.1}:") for name in published for port in SERVICES[name]["ports"])
    inside = {name for name, each in COMPOSE["networks"].items() if each.get("internal")}
    assert inside == COMPOSE["networks"].keys() - {"published", "outside"}
    leaving = {name for name, each in SERVICES.items() if set(each.get("networks", ())) - inside}
    assert leaving == published | {"decoder-live"}
    with_database = {name for name, each in SERVICES.items() if "database" in each.get("networks", ())}
    assert with_database == {"postgres", "migrate", "api", "dispatcher", "recorder", "debug"}


def test_each_image_is_built_once_by_a_target_of_its_name():
    built = [each["build"]["target"] for each in OURS.values() if "build" in each]
    assert len(built) == len(set(built))
    assert {each["image"].split("/")[1].split(":")[0] for each in OURS.values()} == set(built)
    assert set(built) == TARGETS - {"tools", "wheel", "runtime"}


def test_nothing_begins_before_the_settings_were_checked():
    for name in SERVICES.keys() - {"secrets"}:
        assert _comes_after(name, "settings") or name == "settings", name


def _comes_after(name: str, first: str) -> bool:
    before = SERVICES[name].get("depends_on", {})
    return first in before or any(_comes_after(each, first) for each in before)


def test_kafka_keeps_its_data_and_makes_no_topic_by_itself():
    environment = SERVICES["kafka"]["environment"]
    assert SERVICES["kafka"]["volumes"] == [f"kafka:{environment['KAFKA_LOG_DIRS']}"]
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_every_variable_is_a_setting_and_is_checked():
    known = {name for name, _ in fields()} | {f"{name}_FILE" for name, _ in fields()}
    said = {name for each in OURS.values() for name in each.get("environment", {}) if name.startswith(PREFIX)}
    assert said - NOTEBOOK <= known
    checked = SERVICES["settings"]["environment"].keys()
    assert said - NOTEBOOK <= checked


def test_the_example_of_settings_is_whole_and_tells_the_defaults():
    said = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", FILE.read_text()))
    del said["ENV_FILE"]
    defaults = dict(fields())
    for each in OURS.values():
        passed_on = {name for name, value in each.get("environment", {}).items() if value is None}
        said |= {name: _shown(defaults.get(name)) for name in passed_on}
    said["TIMESIDE_CHILDREN"] = ""  # as many as the machine has cores
    assert said == EXAMPLE


def _shown(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default or "")


def test_the_example_of_settings_passes_the_check():
    given = {name: value for name, value in EXAMPLE.items() if name.startswith(PREFIX) and value}
    assert reasons({**given, "TIMESIDE_DATABASE_URL": "postgresql://x", "TIMESIDE_SECRET": "s" * 32}) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_images_have_the_versions_that_everybody_has(lock: Path):
    everybody, image = _pins(ROOT / "requirements.lock"), _pins(lock)
    assert image
    assert all(image.values()), "a pin without a hash"
    assert "://" not in lock.read_text(), "the address of an index"
    if lock.stem != "notebook":  # Jupyter is nowhere else
        assert image.keys() <= everybody.keys()
    shared = image.keys() & everybody.keys()
    assert {pin: image[pin] for pin in shared} == {pin: everybody[pin] for pin in shared}


def test_images_have_no_more_than_they_need():
    heavy = {"librosa", "numba", "llvmlite", "scikit-learn"}
    for lock in LOCKS:
        names = {pin.partition("==")[0] for pin in _pins(lock)}
        assert not names & {"pytest", "ruff", "pyright", "moto", "hypothesis"}, lock.stem
        assert bool(names & heavy) == (lock.stem in {"analyzer-librosa", "worker", "notebook"}), lock.stem
        assert ("asyncpg" in names) == (lock.stem in {"api", "notebook"}), lock.stem
    assert {lock.stem for lock in LOCKS} == (TARGETS - {"tools", "wheel", "runtime", "decoder-live"}) | {"build"}


def _pins(lock: Path) -> dict[str, frozenset[str]]:
    """Hashes by `name==version`."""
    blocks = re.findall(r"^([\w.-]+==\S+)[^\n]*\n((?:    --hash=\S+[^\n]*\n)+)", lock.read_text(), re.MULTILINE)
    return {pin: frozenset(re.findall(r"--hash=(\S+)", hashes)) for pin, hashes in blocks}


def test_secrets_are_made_once(tmp_path: Path):
    first, files = _made(tmp_path), _made(tmp_path)
    assert files == first
    assert len(set(files.values())) == len(files)
    assert files["api/database_url"] == f"postgresql://timeside:{files['postgres/password']}@postgres/timeside"
    assert reasons({"TIMESIDE_DATABASE_URL": "x", "TIMESIDE_SECRET": files["api/secret"]}) == []


def _made(folder: Path) -> dict[str, str]:
    subprocess.run([sys.executable, DEPLOY / "images" / "make-secrets", folder], check=True)
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_an_image_holds_is_told(tmp_path: Path):
    done = subprocess.run([sys.executable, DEPLOY / "images" / "sbom"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    references = [each["bom-ref"] for each in told["components"]]
    assert len(references) == len(set(references))
    assert f"pkg:pypi/numpy@{version('numpy')}" in references


def test_the_example_of_a_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIMESIDE_KEY", raising=False)
    cells = json.loads((DEPLOY / "notebook" / "example.ipynb").read_text())["cells"]
    source = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "code")
    names: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(Image=bytes))
    running = eval(compile(source, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    asyncio.run(running)
    assert "level.max" in names["results"].ids()
    assert names["picture"].render(names["drawn"]).startswith(b"\x89PNG")


def test_prometheus_asks_every_service_of_ours():
    scraped = yaml.safe_load((DEPLOY / "observability" / "prometheus.yml").read_text())["scrape_configs"]
    (names,) = (each["names"] for job in scraped for each in job["dns_sd_configs"])
    assert set(names) == OURS.keys() - ONCE - {"debug", "notebook"}
    assert all("bus" in SERVICES[name]["networks"] for name in [*names, "prometheus"])
