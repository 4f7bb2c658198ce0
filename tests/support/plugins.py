"""Analyzers that misbehave, and an analyzer service that has them."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from timeside_analyzer.stage import STAGE
from timeside_analyzer.stage import opener as analyzer_opener
from timeside_core import Analyzer, Array, Framewise, Mono, Value, topics
from timeside_core.ids import uuid7
from timeside_core.messages import Decode, Failed, Progress
from timeside_core.stage.handler import Handler, OnStep, Opener, Outgoing
from timeside_core.stage.service import BlockStage
from timeside_decoder.stage import STAGE as DECODER


class _Counting(Analyzer):
    input: Mono = Mono()
    output = Value()

    at_sample: int = 0
    """Where it misbehaves."""

    def start(self, stream):
        self.samples = 0

    def process(self, samples: Array) -> None:
        if self.samples <= self.at_sample < self.samples + len(samples):
            self.misbehave()
        self.samples += len(samples)

    def finish(self) -> float:
        return float(self.samples)

    def misbehave(self) -> None:
        """Do what it is named for."""


class Crashing(_Counting, id="test_crashing", version="1.0"):
    """Ends its process."""

    def misbehave(self):
        os.abort()


class Hanging(_Counting, id="test_hanging", version="1.0"):
    """Never comes back."""

    def misbehave(self):
        time.sleep(3600)


class Hogging(_Counting, id="test_hogging", version="1.0"):
    """Wants more memory than a child may have."""

    def misbehave(self):
        self.hoard = np.ones(1 << 34, np.uint8)


class Slow(Analyzer, id="test_slow", version="1.0"):
    """Takes its time over each block."""

    input: Mono = Mono()
    output = Framewise()

    pause_s: float = 0.1
    """For each block of the engine."""

    def process(self, samples: Array) -> Array:
        time.sleep(self.pause_s)
        return samples[:1]


def opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    return analyzer_opener(settings, on_step)


class Forging(Handler):
    """What a decoder would do that hostile media have taken: fail the run of somebody else."""

    def handle(self, message: Decode) -> Iterator[Outgoing]:
        failed = Failed(run_id=uuid7(), attempt=1, stage="decoder", code="forged", reason="", retriable=False)
        yield Outgoing(topics.RESULT, failed)


class Endless(Handler):
    """Never comes to an end by itself."""

    def handle(self, message: Decode) -> Iterator[Outgoing]:
        run = message.run
        while True:
            time.sleep(0.05)
            yield Outgoing(
                topics.PROGRESS,
                Progress(run_id=run.run_id, attempt=run.attempt, stage="decoder", samples_done=0),
            )


def endless_opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    return lambda _, __: Endless()


def forging_opener(settings: Mapping[str, Any], on_step: OnStep) -> Opener:
    return lambda _, __: Forging()


ENDLESS = replace(DECODER, factory="tests.support.plugins:endless_opener")
FORGER = replace(DECODER, factory="tests.support.plugins:forging_opener")
ANALYZER = BlockStage(pool=STAGE.pool, factory="tests.support.plugins:opener", topics=STAGE.topics)
