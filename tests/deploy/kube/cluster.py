"""kubectl and helm on the cluster of the current kubeconfig, and what it tells."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.deploy.chart import CHART, TOOLS

HERE = Path(__file__).parent
NAMESPACE, DATA, RELEASE = "timeside", "timeside-data", "timeside"
IMAGE_TAG = os.environ.get("IMAGE_TAG", "dev")
LIMIT_S = 600.0


def run(*command: str, data: str = "", limit_s: float = LIMIT_S) -> str:
    """What a command says; raises what it complains of."""
    done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        raise AssertionError(f"{' '.join(command[:8])} …: {done.returncode}\n{said}")
    return done.stdout


def kubectl(*arguments: str, data: str = "", namespace: str = NAMESPACE) -> str:
    """A command of kubectl."""
    return run("kubectl", "--namespace", namespace, *arguments, data=data)


def helm(*arguments: str) -> str:
    """A command of helm."""
    return run(str(TOOLS / "helm-4"), "--namespace", NAMESPACE, *arguments)


def install(*sets: str) -> float:
    """Install or upgrade the chart, and wait until all is ready; the seconds that took."""
    began = time.monotonic()
    arguments = [argument for each in sets for argument in ("--set", each)]
    values = ("--values", str(HERE / "values.yaml"), "--set", f"image.tag={IMAGE_TAG}")
    flags = ("--wait", "--timeout", "8m", "--force-conflicts")  # sizes that kubectl has set may be set again
    helm("upgrade", "--install", RELEASE, str(CHART), *values, *flags, *arguments)
    return time.monotonic() - began


def refused(*sets: str) -> str:
    """What helm says to values that it must not take."""
    try:
        install(*sets)
    except AssertionError as error:
        return str(error)
    raise AssertionError(f"{sets} were taken")


def get(*arguments: str, namespace: str = NAMESPACE) -> Any:
    """Objects."""
    return json.loads(kubectl("get", *arguments, "--output", "json", namespace=namespace))


def secret(name: str, **values: str) -> None:
    """Make or change a Secret."""
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
    kubectl("apply", "--filename", "-", data=json.dumps(made))


def every(component: str) -> list[Any]:
    """Pods of a component that have not ended, also those that are about to."""
    alive = "status.phase!=Failed,status.phase!=Succeeded"
    return get("pods", "--selector", f"app.kubernetes.io/component={component}", "--field-selector", alive)["items"]


def pods(component: str) -> list[Any]:
    """Those that are not about to."""
    return [each for each in every(component) if "deletionTimestamp" not in each["metadata"]]


def ready(component: str) -> list[str]:
    """Names of its pods that take work."""
    return [each["metadata"]["name"] for each in pods(component) if _is_ready(each)]


def _is_ready(pod: Any) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def execute(pod: str, *command: str) -> str:
    """Run a command in a pod (or `deploy/name`)."""
    return kubectl("exec", pod, "--", *command)


def sql(statement: str) -> list[list[str]]:
    """Rows that the database answers with."""
    command = ("psql", "--username", "timeside", "--no-align", "--tuples-only", "--command", statement)
    said = kubectl("exec", "postgres-0", "--", *command, namespace=DATA)
    return [line.split("|") for line in said.splitlines() if line]


def address() -> str:
    """Where the API is, from outside."""
    (port,) = get("service", RELEASE)["spec"]["ports"]
    (node, *_) = get("nodes")["items"]
    (host,) = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    return f"http://{host}:{port['nodePort']}"


def wait(what: str, is_so: Callable[[], bool], *, limit_s: float = LIMIT_S, every_s: float = 1.0) -> float:
    """Until it is so; the seconds that took."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > limit_s:
            raise AssertionError(f"not within {limit_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - began


def restarts(components: Sequence[str]) -> int:
    """How often containers of pods that are there were started again."""
    statuses = [status for name in components for each in pods(name) for status in each["status"]["containerStatuses"]]
    return sum(each["restartCount"] for each in statuses)
