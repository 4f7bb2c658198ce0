"""Every object that the chart makes, over a matrix of values, is one that Kubernetes and its operators take."""

import json

import pytest
import yaml
from tests.deploy import chart

MATRIX = sorted(path.stem for path in (chart.CHART / "ci").glob("*.yaml"))
EXAMPLES = sorted((chart.ROOT / "deploy" / "k8s").rglob("*.yaml"))
OLDEST, NEWEST = "1.30.0", "1.37.0"


def values(name: str) -> chart.Object:
    return yaml.safe_load((chart.CHART / "ci" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", MATRIX)
def test_objects_have_all_fields_that_are_needed_and_no_others(name: str, kubernetes: str) -> None:
    rendered = chart.render(values(name), kubernetes=kubernetes)
    assert len(rendered) > 15
    assert chart.mistakes(rendered, kubernetes) == []


@pytest.mark.parametrize("name", MATRIX)
def test_both_helms_render_the_same(name: str) -> None:
    assert chart.render(values(name), helm=3) == chart.render(values(name), helm=4)


@pytest.mark.parametrize("helm", [3, 4])
def test_the_chart_is_clean(helm: int) -> None:
    for name in MATRIX:
        chart.lint(values(name), helm=helm)


@pytest.mark.parametrize("path", [each for each in EXAMPLES if each.name != "values.yaml"], ids=lambda path: path.name)
def test_plain_manifests_and_examples(path: object) -> None:
    read = chart.objects(getattr(path, "read_text")())  # noqa: B009
    assert chart.mistakes(read, NEWEST) == []


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replica": 1}}, "replica"),
        ({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": {"minReplicas": 1}}, "minReplicas"),
        ({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "spec": {"partitions": "6"}}, "partitions"),
        ({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "spec": {}}, "endpoints"),
        ({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "spec": {"instance": 1}}, "instance"),
        ({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": {"rule": []}}, "rule"),
    ],
)
def test_the_check_finds_mistakes(spoilt: chart.Object, told: str) -> None:
    found = chart.mistakes([{**spoilt, "metadata": {"name": "x"}}], NEWEST)
    assert told in json.dumps(found)
