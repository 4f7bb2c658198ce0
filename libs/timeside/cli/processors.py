"""`timeside processors`: what there is, and what each takes and yields."""

import json
from typing import Annotated, Any

import typer

from timeside_core.errors import TimesideError
from timeside_core.pipeline import Decoder, Encoder, Grapher
from timeside_core.processor import Analyzer, Effect, Processor, result_id
from timeside_core.registry import get_processor, processor_ids

KINDS: tuple[tuple[str, type[Processor]], ...] = (
    ("decoder", Decoder),
    ("effect", Effect),
    ("analyzer", Analyzer),
    ("grapher", Grapher),
    ("encoder", Encoder),
    ("input", Processor),
)


def processors(
    id: Annotated[str | None, typer.Argument(help="Show this one's parameters and outputs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, parameters as JSON Schema.")] = False,
) -> None:
    """List processors, or show one."""
    if id is not None:
        facts = describe(get_processor(id))
        print(json.dumps(facts, indent=2) if as_json else _page(facts))
        return
    described = [each for each in map(_described, processor_ids()) if each]
    if as_json:
        print(json.dumps(described, indent=2))
        return
    for kind, _ in KINDS:
        print(f"{kind}s")
        for each in (each for each in described if each["kind"] == kind):
            print(f"  {each['id']:<32} {each['version']:<5} {each['description']}")


def describe(processor: type[Processor]) -> dict[str, Any]:
    """Kind, version, description, parameters (JSON Schema) and outputs of a processor, JSON-like."""
    return {
        "id": processor.id,
        "version": processor.version,
        "kind": next(kind for kind, base in KINDS if issubclass(processor, base)),
        "description": processor.description(),
        "parameters": processor.schema(),
        "outputs": _outputs(processor),
    }


def _described(id: str) -> dict[str, Any] | None:
    try:
        return describe(get_processor(id)) | {"id": id}
    except TimesideError as error:  # a plug-in whose library is missing must not hide the others
        typer.echo(f"timeside: {error}", err=True)
        return None


def _outputs(processor: type[Processor]) -> list[dict[str, Any]]:
    if not issubclass(processor, Analyzer):
        return []
    instance = processor()
    return [
        {
            "result_id": result_id(instance, name),
            "time_mode": output.time_mode,
            "data_mode": output.data_mode,
            "unit": output.unit,
            "description": output.description,
            "bins": output.bins,
            "bin_unit": output.bin_unit,
            "labels": list(output.labels),
        }
        for name, output in instance.declared().items()
    ]


def _page(facts: dict[str, Any]) -> str:
    lines = [f"{facts['id']} {facts['version']} ({facts['kind']})", f"  {facts['description']}", "parameters"]
    for name, schema in facts["parameters"]["properties"].items():
        lines.append(f"  {name} = {json.dumps(schema.get('default'))}{_rule(schema)}")
        lines.append(f"      {' '.join(schema.get('description', '').split())}")
    if facts["outputs"]:
        lines.append("outputs")
    for each in facts["outputs"]:
        unit = f", {each['unit']}" if each["unit"] else ""
        lines.append(f"  {each['result_id']}: {each['time_mode']} {each['data_mode']}{unit}. {each['description']}")
    return "\n".join(lines)


def _rule(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    rules = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    if "enum" in schema:
        rules.append("one of " + ", ".join(map(str, schema["enum"])))
    return f"   ({', '.join(rules)})" if rules else ""
