"""`python -m deploy.helm.derive`: write what follows from the settings, the topics and the chart.

- `timeside/values.schema.json`: from the models of settings
- `timeside/files/topics.yaml`: a copy, as a chart reads no files beside it
- `../k8s/timeside.yaml`: the chart, rendered for one cluster
- `../k8s/examples/strimzi.yaml`: the topics as Strimzi's resources, after what stands above them in that file
"""

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from deploy.helm.values import CHART, schema

from timeside_core import topics

K8S = CHART.parents[1] / "k8s"
MANIFESTS = K8S / "timeside.yaml"
STRIMZI = K8S / "examples" / "strimzi.yaml"
TOOLS = Path(__file__).parents[2] / "build" / "deploy-tools"
KUBERNETES = "1.34.0"
_HEAD = "# Made from deploy/helm/timeside and deploy/k8s/values.yaml: make manifests\n"
_TOPICS = "# --- Made from topics.yaml: make manifests ---\n"


def helm(major: int = 4) -> str:
    """The program."""
    return str(TOOLS / f"helm-{major}")


def manifests() -> str:
    """The chart, rendered as plain manifests."""
    command = [helm(), "template", "timeside", str(CHART), "--namespace", "timeside", "--kube-version", KUBERNETES]
    command += ["--no-hooks", "--values", str(K8S / "values.yaml")]
    environment = {**os.environ, "HELM_CACHE_HOME": str(TOOLS / "cache")}
    rendered = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    # whoever applies these has no Helm that could look after them
    return _HEAD + rendered.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")


def strimzi() -> str:
    """The example, with all topics."""
    above = STRIMZI.read_text().partition(_TOPICS)[0]
    return (
        above + _TOPICS + "".join("---\n" + yaml.safe_dump(_topic(each), sort_keys=False) for each in topics.declared())
    )


def _topic(topic: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "namespace": "kafka", "labels": {"strimzi.io/cluster": "timeside"}},
        "spec": {
            "partitions": topic.partitions,
            "replicas": topic.replicas,
            "config": {name: _number(value) for name, value in topics.kafka_config(topic).items()},
        },
    }


def _number(value: str) -> int | str:
    return int(value) if value.lstrip("-").isdigit() else value


def derived() -> dict[Path, str]:
    """What each file should hold."""
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        CHART / "files" / "topics.yaml": files("timeside_core").joinpath("topics.yaml").read_text(),
        STRIMZI: strimzi(),
    }


def main() -> None:
    """Write it."""
    for path, text in derived().items():
        path.write_text(text)
    MANIFESTS.write_text(manifests())


if __name__ == "__main__":
    main()
