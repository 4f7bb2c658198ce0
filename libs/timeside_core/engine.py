"""One pass over a signal: each distinct processor once, rows out as soon as they are complete.

The engine knows no processor by name. It re-blocks audio to a fixed size first, so that nothing that follows
depends on how the signal was cut.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np

from timeside_core.audio import Array, Stream
from timeside_core.errors import ProcessorError, TimesideError
from timeside_core.outputs import Output, Rows, as_rows
from timeside_core.processor import Analyzer, Effect, Step, inputs_of, result_id

BLOCK_SAMPLES = 32_768
"""Samples that steps are given at once: long enough to make numpy's calls cheap, short enough for the cache."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A step whose yield the caller wants, and the effects upstream of it, first to last."""

    step: Step
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Emission:
    """Rows of one output of one wanted analyzer; or what another kind of step returned, as `payload`."""

    index: int
    """Position in the list of what is wanted."""
    output: str = ""
    first_row: int = 0
    rows: Rows | None = None
    payload: Any = None


@dataclass(slots=True)
class _Node:
    step: Step
    """Working copy."""
    stream: Stream
    """Clock of the rows that come in."""
    wanted: list[int] = field(default_factory=list[int])
    children: "list[_Node]" = field(default_factory=list["_Node"])
    rows_in: int = 0
    rows_out: dict[str, int] = field(default_factory=dict[str, int])
    row_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    run_time_s: float = 0.0
    has_failed: bool = False


OnStep: TypeAlias = Callable[[Step, Sequence[int]], None]
"""Told what is about to be called, and the positions of all wanted steps that need it."""


class Engine:
    """Drives steps over blocks of audio of one stream. Use as a context manager: leaving it closes all steps."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        stream: Stream,
        *,
        block_samples: int = BLOCK_SAMPLES,
        isolate: bool = False,
        on_step: OnStep | None = None,
    ) -> None:
        """With `isolate`, a step that fails ends only itself and what reads it: see `failures`."""
        self._block_samples = block_samples
        self._isolate = isolate
        self._on_step = on_step
        self.failures: dict[int, TimesideError] = {}
        """Why wanted steps have ended early, by position; the others went on."""
        self._stream = stream
        self._nodes: dict[tuple[Step, tuple[Effect, ...]], _Node] = {}
        self._roots: list[_Node] = []
        self._held: list[Array] = []
        self._held_samples = 0
        self._emissions: list[Emission] = []
        self._wanted = [self._node(each.step, each.effects) for each in wanted]
        for index, node in enumerate(self._wanted):
            node.wanted.append(index)
        self._needed_by = {id(node): _needed_by(node) for node in self._nodes.values()}

    def __enter__(self) -> "Engine":
        """Start all steps, those that are read before those that read them; where one fails, close what was started."""
        with ExitStack() as started:
            for node in self._nodes.values():
                self._tried(node, node.step.start, node.stream)
                if not node.has_failed:
                    started.callback(self._close, node)
            self._started = started.pop_all()
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        """Close all steps; one that fails now does not hide why the run has ended."""
        try:
            self._started.close()
        except TimesideError:
            if kind is None:
                raise

    def push(self, block: Array) -> list[Emission]:
        """Take the next block, shape `(samples, channels)`, float32; return the rows it completes."""
        while len(block):
            piece = block[: self._block_samples - self._held_samples]
            block = block[len(piece) :]
            self._held.append(piece)
            self._held_samples += len(piece)
            if self._held_samples == self._block_samples:
                self._pass_on()
        return self._taken()

    def finish(self) -> list[Emission]:
        """Say that the signal has ended; return the last rows."""
        if self._held_samples:
            self._pass_on()
        for root in self._roots:
            self._finish(root)
        return self._taken()

    def run_time_s(self, index: int) -> float:
        """Seconds spent so far in a wanted step itself, without the steps it reads."""
        return self._wanted[index].run_time_s

    def step(self, index: int) -> Step:
        """The working copy of a wanted step: it knows its bins once started."""
        return self._wanted[index].step

    def stream(self, index: int) -> Stream:
        """Clock of a wanted step's rows."""
        node = self._wanted[index]
        return node.step.clock(node.stream)

    def _node(self, step: Step, effects: tuple[Effect, ...]) -> _Node:
        if (node := self._nodes.get((step, effects))) is not None:
            return node
        parents = inputs_of(step)
        if wrong := [each for each in parents if not isinstance(each, Step)]:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ProcessorError(f"{step.label()!r} reads {wrong[0]!r}: a form of input or an analyzer is wanted")
        if len(parents) > 1:
            raise ProcessorError(f"{step.label()!r} declares {len(parents)} inputs: a step reads one")
        if parents:
            parent = self._node(parents[0], effects)
        elif effects:
            parent = self._node(effects[-1], effects[:-1])
        else:
            parent = None
        stream = self._stream if parent is None else parent.step.clock(parent.stream)
        node = _Node(step.working_copy(stream), stream)
        (self._roots if parent is None else parent.children).append(node)
        self._nodes[step, effects] = node
        return node

    def _pass_on(self) -> None:
        block = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        block = block.view()
        block.flags.writeable = False  # steps share it
        self._held, self._held_samples = [], 0
        for root in self._roots:
            self._process(root, block)

    def _process(self, node: _Node, rows: Any) -> None:
        node.step.at(node.rows_in, _length(rows))
        made = self._tried(node, node.step.process, rows)
        node.rows_in += _length(rows)
        self._hand_out(node, made)

    def _finish(self, node: _Node) -> None:
        node.step.at(node.rows_in, 0)
        self._hand_out(node, self._tried(node, node.step.finish))
        for child in node.children:
            self._finish(child)

    def _hand_out(self, node: _Node, made: Any) -> None:
        if made is None or _length(made) == 0:
            return
        if node.wanted:
            self._tried(node, self._emit, node, made)
        for child in node.children:
            if not child.has_failed:
                self._process(child, made)

    def _emit(self, node: _Node, made: Any) -> None:
        if not isinstance(node.step, Analyzer):
            self._emissions += [Emission(index, payload=made) for index in node.wanted]
            return
        declared = node.step.declared()
        named = cast("Mapping[str, Any]", made) if isinstance(made, Mapping) else {"": made}
        for name, value in named.items():
            if value is None:
                continue
            rows = _rows(node, declared, name, value)
            if not len(rows):
                continue
            first = node.rows_out.get(name, 0)
            node.rows_out[name] = first + len(rows)
            self._emissions += [Emission(index, name, first, rows) for index in node.wanted]

    def _tried(self, node: _Node, call: Any, *arguments: Any) -> Any:
        """What a call returns; None where its step has failed, or fails now and others are to go on without it."""
        if node.has_failed:
            return None
        try:
            return self._timed(node, call, *arguments)
        except TimesideError as error:
            if not self._isolate:
                raise
            self._fail(node, error)
            return None

    def _close(self, node: _Node) -> None:
        try:
            self._timed(node, node.step.close)
        except TimesideError as error:
            if not self._isolate:
                raise
            self._fail(node, error)

    def _fail(self, node: _Node, error: TimesideError) -> None:
        node.has_failed = True
        for index in node.wanted:
            self.failures.setdefault(index, error)
        for child in node.children:
            self._fail(child, error)

    def _timed(self, node: _Node, call: Any, *arguments: Any) -> Any:
        if self._on_step is not None:
            self._on_step(node.step, self._needed_by[id(node)])
        began = time.perf_counter()
        try:
            return call(*arguments)
        except TimesideError:
            raise
        except Exception as error:
            raise ProcessorError(
                f"{node.step.label()!r} failed in {call.__name__}: {type(error).__name__}: {error}"
            ) from error
        finally:
            node.run_time_s += time.perf_counter() - began

    def _taken(self) -> list[Emission]:
        taken, self._emissions = self._emissions, []
        return taken


def _rows(node: _Node, declared: Mapping[str, Output], name: str, value: object) -> Rows:
    """Rows that an analyzer returned for an output; raises `ProcessorError` where they do not fill it."""
    if name not in declared:
        returned = f"an output {name!r}" if name else "rows of no output"
        outputs = ", ".join(map(repr, declared)) if any(declared) else "one, which has no name"
        raise ProcessorError(f"{node.step.label()!r} returned {returned}; it declares {outputs}")
    id = result_id(node.step, name)
    try:
        rows = as_rows(declared[name], value)
    except ProcessorError as error:
        raise ProcessorError(f"{id!r}: {error}") from None
    shape = rows.values.shape[1:]
    if len(rows) and shape != (first := node.row_shapes.setdefault(name, shape)):
        raise ProcessorError(f"{id!r}: rows of shape {shape} came after {first}: all are alike")
    return rows


def _needed_by(node: _Node) -> tuple[int, ...]:
    return tuple(sorted({*node.wanted, *(index for child in node.children for index in _needed_by(child))}))


def _length(rows: Any) -> int:
    """Count of the rows at hand, whatever carries them."""
    if isinstance(rows, np.ndarray):  # nearly always, and quicker told than what is a mapping
        return len(cast("Array", rows)) if rows.ndim else 1
    if isinstance(rows, Mapping):
        outputs = cast("Mapping[str, Any]", rows)
        return max((_length(output) for output in outputs.values()), default=0)
    if isinstance(rows, Rows):
        return len(rows)
    shape: tuple[int, ...] = getattr(rows, "shape", ())
    return shape[0] if shape else 1
