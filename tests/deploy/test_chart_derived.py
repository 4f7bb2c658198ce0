"""What is made from other files equals what would be made of them now; only metrics that exist are asked for."""

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml
from deploy.helm import derive
from deploy.helm.values import Values
from prometheus_client import REGISTRY
from tests.deploy import chart

FILES = chart.CHART / "files"
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
ALERTS = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
RULES = [rule for group in ALERTS for rule in group["rules"]]


@pytest.mark.parametrize("path", [*derive.derived(), derive.MANIFESTS], ids=lambda path: path.name)
def test_files_are_in_sync(path: Path) -> None:
    wanted = derive.manifests() if path == derive.MANIFESTS else derive.derived()[path]
    assert path.read_text() == wanted, "make manifests"


def test_values_are_what_the_models_describe() -> None:
    Values.model_validate(yaml.safe_load((chart.CHART / "values.yaml").read_text()))


def test_versions_agree() -> None:
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    project = (chart.ROOT / "pyproject.toml").read_text()
    assert f'version = "{about["appVersion"]}"' in project


SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """Names of all that is counted, as Prometheus knows them."""
    for module in ("timeside_api.metrics", "timeside_core.stage.metrics"):
        importlib.import_module(module)
    return {metric.name + suffix for metric in REGISTRY.collect() for suffix in SUFFIXES.get(metric.type, ("",))}


def _expressions() -> list[str]:
    panels = [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = [
        each["spec"]["triggers"][0]["metadata"]["query"]
        for each in chart.render(yaml.safe_load((chart.CHART / "ci" / "keda-prometheus.yaml").read_text()))
        if each["kind"] == "ScaledObject"
    ]
    return [rule["expr"] for rule in RULES] + queries + asked


def test_only_metrics_that_exist_are_asked_for(metrics: set[str]) -> None:
    named = {name for each in _expressions() for name in re.findall(r"\btimeside_\w+", each)}
    assert len(named) > 15
    assert named - metrics == set()


def test_what_is_asked_is_promql() -> None:
    assert chart.wrong_promql([*_expressions(), "sum by (x (y)"]) == ["sum by (x (y)"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: chart.Object) -> None:
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["runbook"]) > 40
    assert rule["labels"]["severity"] in ("warning", "critical")
