"""ELAN's EAF 3.0: a tier for each event and segment result, with its labels as a controlled vocabulary.

ELAN counts in milliseconds and has no instants: an event, like a segment of less, lasts one. Spans of a tier never
overlap: a result whose spans do takes several tiers.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from timeside_core.audio import Media
from timeside_core.formats.document import names
from timeside_core.formats.spans import Span, clean, media_of, spans, tiers
from timeside_core.results import Result, Results

TICKS_PER_S = 1000
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
UNDETERMINED = {
    "LANG_ID": "und",
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_LABEL": "undetermined (und)",
}
"""The language of all labels: that of none."""


def write(results: Results, path: Path) -> None:
    """Write all results; the schema wants elements in this order."""
    root = Element("ANNOTATION_DOCUMENT", AUTHOR="TimeSide", DATE=_date(results), FORMAT="3.0", VERSION="3.0")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", SCHEMA)
    root.append(_header(media_of(results)))
    order = SubElement(root, "TIME_ORDER")
    named = list(zip(names(results), results, strict=True))
    for name, result in named:
        for title, tier in tiers(name, spans(result, TICKS_PER_S, least=1)):
            _add_tier(root, order, title, clean(name), tier)
    root.extend(_type(clean(name), result) for name, result in named)
    SubElement(root, "LANGUAGE", UNDETERMINED)
    ids = count()
    root.extend(_vocabulary(clean(name), result, ids) for name, result in named if result.output.labels)
    indent(root)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _date(results: Results) -> str:
    return results[0].provenance.created or datetime.now(UTC).isoformat(timespec="seconds")


def _header(media: Media) -> Element:
    header = Element("HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    url = media.uri if ":" in media.uri else Path(media.uri).absolute().as_uri()
    SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=clean(url), MIME_TYPE=media.mime_type or "unknown")
    return header


def _add_tier(root: Element, order: Element, title: str, type: str, spans: list[Span]) -> None:
    tier = SubElement(root, "TIER", TIER_ID=title, LINGUISTIC_TYPE_REF=type)
    for span in spans:
        first = len(order) + 1
        for number, time in enumerate((span.start, span.stop), first):
            SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
        annotation = SubElement(
            SubElement(tier, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{(first + 1) // 2}",
            TIME_SLOT_REF1=f"ts{first}",
            TIME_SLOT_REF2=f"ts{first + 1}",
        )
        SubElement(annotation, "ANNOTATION_VALUE").text = span.text


def _type(name: str, result: Result) -> Element:
    type = Element("LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=name, TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false")
    if result.output.labels:
        type.set("CONTROLLED_VOCABULARY_REF", name)
    return type


def _vocabulary(name: str, result: Result, ids: Iterator[int]) -> Element:
    vocabulary = Element("CONTROLLED_VOCABULARY", CV_ID=name)
    SubElement(vocabulary, "DESCRIPTION", LANG_REF="und").text = clean(result.output.description)
    for label in dict.fromkeys(map(clean, result.output.labels)):
        entry = SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cveid{next(ids)}")
        SubElement(entry, "CVE_VALUE", LANG_REF="und").text = label
    return vocabulary
