"""The contract suite over every registered processor, third parties included."""

from importlib.metadata import entry_points

import pytest

from timeside_core import get_processor, processor_ids
from timeside_core.registry import PROCESSORS
from timeside_core.testing import contract_for

for _id in processor_ids():
    _processor = get_processor(_id)
    if _processor.id == _id:  # aliases are tested by their own name
        globals()[f"Test_{_id}"] = contract_for(_processor)


@pytest.mark.parametrize("point", entry_points(group=PROCESSORS), ids=lambda point: point.name)
def test_entry_points_are_named_as_their_processor_or_are_aliases(point):
    processor = point.load()
    assert processor.id == point.name or get_processor(processor.id) is processor
