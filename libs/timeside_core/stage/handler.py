"""What a service implements: a handler takes the messages of one run and yields those that follow from them."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from timeside_core.messages import Message
from timeside_core.processor import Step


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where it goes; without a partition, to that of the run."""

    topic: str
    message: Message
    partition: int | None = None


class Handler:
    """One attempt of one run, in a child process: no loop, no bus, only messages in and out."""

    done: bool = False
    """Whether it takes no more messages."""
    low_watermark: int | None = None
    """First sample that it may need again, where it is not its first one: all that comes of others has been yielded."""

    @abstractmethod
    def handle(self, message: Any) -> Iterator[Outgoing | None]:
        """Take the next message of the run, the first included; yield what follows, as soon as it does.

        One that waits for something else yields None now and then, so that it can be cancelled.
        """

    def cancel(self) -> None:
        """Its owner wants no more of it; what `handle` yields right now should come to an end."""

    def stop(self) -> None:
        """Its owner has had enough: what `handle` yields right now should end as if there were no more to come."""

    def close(self) -> None:
        """Release what it holds; called once, however it ended."""


OnStep: TypeAlias = Callable[[Step, tuple[int, ...]], None]
"""Told which step runs, and the indices in the plan of all processors that need it: who is to blame for a crash."""

Opener: TypeAlias = Callable[[Any, Mapping[str, Any]], Handler]
"""Makes the handler of a run from its first message, and from what the I/O process prepared for it."""

Factory: TypeAlias = Callable[[Mapping[str, Any], OnStep], Opener]
"""Called once in each child, with the service's settings; named as `package.module:function`."""
