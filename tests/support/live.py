"""What workers say of live sessions, as they would: segments on the session's clock, and the end."""

import hashlib

from timeside_core import get_processor
from timeside_core.audio import Segment
from timeside_core.key import digest
from timeside_core.messages import Done, Ended, Facts, LiveSource, MediaFacts, Run, SegmentOfMedia, StoredResultRef

SAMPLERATE = 8000
LENGTH = 10 * SAMPLERATE


def facts(run: Run, *, final: bool = False, samples: int | None = None, samplerate: int = SAMPLERATE) -> Facts:
    known = MediaFacts(samplerate=samplerate, channels=2, samples=samples, codec="mp3")
    return Facts(run_id=run.run_id, attempt=run.attempt, facts=known, final=final)


def done(run: Run, number: int, *, processor: int = 0, samples: int = LENGTH, prefix: str = "") -> Done:
    """A segment on the session's clock."""
    planned, source = run.plan.processors[processor], run.plan.source
    assert isinstance(source, LiveSource)
    segment = Segment(number * LENGTH, samples)
    prefix = prefix or f"results/v1/{run.run_id}/{run.attempt}/{processor}/{number}"
    return Done(
        run_id=run.run_id,
        attempt=run.attempt,
        processor=processor,
        media=str(source.session),
        id=planned.id,
        processor_version=planned.version,
        digest=digest(get_processor(planned.id)(), segment=segment),
        result=StoredResultRef(prefix=prefix, manifest_sha256=hashlib.sha256(prefix.encode()).hexdigest()),
        size=100,
        samples=samples,
        segment=SegmentOfMedia(first_sample=segment.first_sample, samples=samples),
    )


def ended(run: Run, processor: int = 0, samples: int = LENGTH) -> Ended:
    return Ended(run_id=run.run_id, attempt=run.attempt, processor=processor, samples=samples)
