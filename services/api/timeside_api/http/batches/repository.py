"""SQL of batches: each operation is a few statements, however many items it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.batches.schemas import MAX_ITEMS, Change, Create, Delete, Operation, Outcome, Tag
from timeside_api.http.collected import too_many
from timeside_api.http.items import repository as items
from timeside_api.http.items.schemas import MAX_TAGS
from timeside_api.models import Item
from timeside_api.sharing import Level
from timeside_core.ids import uuid7

_UNSEEN: Any = {"execution_options": {"synchronize_session": False}}
"""No item is in memory."""

Done = Literal["created", "changed", "tagged", "removed"]


class Touched(NamedTuple):
    """An item to which something was done."""

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    done: Done


@dataclass
class Work:
    """What is being done for somebody."""

    session: AsyncSession
    caller: Caller
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    touched: list[Touched] = field(default_factory=list[Touched])

    @property
    def failed(self) -> int:
        """Count of what could not be done."""
        return len(self.outcomes) - len(self.touched)

    async def do(self, number: int, operation: Operation) -> None:
        """One operation after another; raises a problem where it is too much."""
        match operation:
            case Create():
                await self._create(number, operation)
            case Change():
                said = operation.change.model_dump(exclude_none=True)
                found = await self._found(number, operation, Level.EDITOR)
                values = update(Item).values(**said, updated_at=func.now())
                await self.session.execute(values.where(Item.id.in_([each.id for each in found])), **_UNSEEN)
                self._note(number, found, "changed")
            case Tag():
                await self._tag(number, operation)
            case Delete():
                found = await self._found(number, operation, Level.OWNER)
                await self.session.execute(delete(Item).where(Item.id.in_([each.id for each in found])), **_UNSEEN)
                self._note(number, found, "removed")

    def say(self) -> None:
        """Note what was done among the events."""
        for each in self.touched:
            kind = "changed" if each.done == "tagged" else each.done
            events.note(
                self.session,
                f"item.{kind}",
                owner_id=each.owner_id,
                project_id=each.project_id,
                subject_id=each.id,
            )

    async def _create(self, number: int, operation: Create) -> None:
        rows = [{"id": uuid7(), "owner_id": self.caller.id, **each.model_dump()} for each in operation.items]
        self._check(len(rows))
        await self.session.execute(insert(Item), rows)
        self._note(number, [Touched(row["id"], row["owner_id"], None, "created") for row in rows], "created")

    async def _tag(self, number: int, operation: Tag) -> None:
        found = await self._found(number, operation, Level.EDITOR)
        ids = [each.id for each in found]
        given = {"ids": ids, "add": operation.add, "remove": operation.remove, "most": MAX_TAGS}
        tagged = set(await self.session.scalars(_TAGGED, given))
        self._note(number, [each for each in found if each.id in tagged], "tagged")
        self._fail(number, [id for id in ids if id not in tagged], "too-many-tags")

    async def _found(self, number: int, operation: Change | Tag | Delete, level: Level) -> Sequence[Touched]:
        """Items with which the caller may do so much, locked in one order; what came of the others is noted."""
        if operation.filter is not None:
            wanted = items.found(self.caller, operation.filter).with_only_columns(Item.id).limit(MAX_ITEMS + 1)
            ids = list(await self.session.scalars(wanted))
        else:
            ids = list(dict.fromkeys(operation.ids or ()))
        self._check(len(ids))
        columns = Item.id, Item.owner_id, Item.project_id
        may = ownership.visible(self.caller, Item, level).with_only_columns(*columns).where(Item.id.in_(ids))
        rows = await self.session.execute(may.order_by(Item.id).with_for_update(key_share=True))
        found = [Touched(id, owner_id, project_id, "changed") for id, owner_id, project_id in rows]
        missing = set(ids) - {each.id for each in found}
        seen = ownership.visible(self.caller, Item).with_only_columns(Item.id).where(Item.id.in_(missing))
        forbidden = set(await self.session.scalars(seen)) if missing else set[UUID]()
        self._fail(number, sorted(forbidden), "forbidden")
        self._fail(number, sorted(missing - forbidden), "not-found")
        return found

    def _check(self, coming: int) -> None:
        if len(self.outcomes) + coming > MAX_ITEMS:
            raise too_many(f"a batch is about {MAX_ITEMS} items at most: part it, or narrow its filters")

    def _note(self, number: int, touched: Iterable[Touched], done: Done) -> None:
        for each in touched:
            self.touched.append(each._replace(done=done))
            self.outcomes.append(Outcome(operation=number, item_id=each.id, outcome=done))

    def _fail(self, number: int, ids: Iterable[UUID], why: Literal["not-found", "forbidden", "too-many-tags"]) -> None:
        self.outcomes += [Outcome(operation=number, item_id=id, outcome=why) for id in ids]


_TAGGED = text("""
WITH retagged AS (
    SELECT id, ARRAY(
        SELECT DISTINCT tag COLLATE "C" FROM unnest(tags || CAST(:add AS text[])) AS tag
        WHERE tag <> ALL(CAST(:remove AS text[])) ORDER BY 1
    ) AS tags
    FROM item WHERE id = ANY(CAST(:ids AS uuid[]))
)
UPDATE item SET tags = retagged.tags, updated_at = now()
FROM retagged WHERE item.id = retagged.id AND cardinality(retagged.tags) <= :most RETURNING item.id
""")
