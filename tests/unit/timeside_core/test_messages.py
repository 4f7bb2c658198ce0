"""Messages: their bytes are fixed, come back as they went, and nothing else is ever taken for one."""

import json
import zlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import ValidationError

from timeside_core import Media, Segment, Stream
from timeside_core.errors import MessageSizeError, MissingTopicError, PoisonError
from timeside_core.messages import (
    MAX_PAYLOAD_BYTES,
    Block,
    BlockForm,
    BlockKind,
    Cancel,
    Clock,
    Closed,
    DeadLetter,
    Decode,
    DecodingError,
    Derived,
    Discontinuity,
    Done,
    Draw,
    EncodedChunk,
    End,
    Ended,
    Facts,
    Failed,
    Gap,
    JsonMessage,
    LiveSource,
    Lost,
    MediaFacts,
    Opened,
    OpenedOutput,
    PartialRows,
    Plan,
    PlannedProcessor,
    ProcessorValue,
    Progress,
    Renewal,
    Run,
    RunRef,
    SampleFormat,
    SegmentOfMedia,
    Sink,
    Start,
    State,
    Stop,
    StoredMedia,
    StoredResultRef,
    block_samples,
    decode,
    encode,
    kinds,
    pcm,
)
from timeside_core.outputs import Rows, events, segments

RUN = UUID("01931f6e-0000-7000-8000-000000000001")
SHA = "ab" * 32
TOPICS = (
    "ts.cmd.decode.interactive",
    "ts.cmd.live",
    "ts.cmd.graph.bulk",
    "ts.pcm.analyzer-librosa.interactive",
    "ts.partial",
    "ts.encoded",
    "ts.result",
    "ts.progress",
    "ts.lease",
    "ts.control",
    "ts.dlq",
)

MFCC = PlannedProcessor(
    id="mfcc",
    version="1.0",
    parameters={"n_mfcc": 13, "input": {"id": "mono", "version": "1.0"}, "window": None, "gain": 0.5},
    effects=(ProcessorValue(id="gain", version="1.0", parameters={"gain_db": -6.0}),),
    digest=SHA,
    pool="analyzer",
    result_id=RUN,
    outputs=("", "delta"),
)
BARE = ProcessorValue(id="waveform", version="1.0", parameters={"input": None})
PLAN = Plan(
    source=StoredMedia(sha256=SHA, size=44_100),
    segment=SegmentOfMedia(first_sample=10, samples=100),
    processors=(MFCC,),
    sinks=(Sink(pool="analyzer", partition=3, form=BlockForm(mono=True, block_samples=4096)),),
)
A_RUN = Run(run_id=RUN, attempt=2, lane="interactive", plan=PLAN, deadline=datetime(2026, 11, 24, tzinfo=UTC))
FACTS = MediaFacts(samplerate=44_100, channels=2, samples=44_100, sha256=SHA, codec="flac", tags={"title": "A"})
OF_RUN: dict[str, Any] = {"run_id": RUN, "attempt": 2}
REF = StoredResultRef(prefix=f"results/v1/ab/{SHA}/mfcc/1.0/{SHA[:16]}/leaf", manifest_sha256=SHA)

EXAMPLES: list[tuple[str, JsonMessage]] = [
    ("ts.cmd.decode.bulk", Decode(run=A_RUN)),
    ("ts.cmd.live", Decode(run=A_RUN.model_copy(update={"deadline": None}))),
    (
        "ts.cmd.graph.interactive",
        Draw(**OF_RUN, grapher=BARE, results=(REF,), object="derived/a.png", start_s=1.5),
    ),
    (
        "ts.result",
        Done(
            **OF_RUN,
            processor=0,
            media=SHA,
            id="mfcc",
            processor_version="1.0",
            digest=SHA,
            result=REF,
            size=9,
            samples=100,
        ),
    ),
    ("ts.result", Derived(**OF_RUN, object="derived/a.opus", sha256=SHA, size=3, mime_type="audio/ogg")),
    ("ts.result", Failed(**OF_RUN, stage="decoder", code="no-audio", reason="no audio", retriable=False)),
    ("ts.result", Facts(**OF_RUN, facts=FACTS, final=True)),
    ("ts.result", Gap(**OF_RUN, stage="analyzer", seq=4, found_seq=7)),
    ("ts.result", Lost(topic="ts.pcm.analyzer.bulk", partition=1, group="g", offset=None, first_offset=9)),
    ("ts.progress", Progress(**OF_RUN, stage="analyzer", samples_done=10)),
    ("ts.progress", State(**OF_RUN, state="failed", reason="why")),
    ("ts.lease", Renewal(worker=RUN, stage="analyzer", runs=(RunRef(run_id=RUN, attempt=1),))),
    ("ts.result", Ended(run_id=RUN, attempt=1, processor=2, samples=80_000)),
    ("ts.control", Cancel(run_id=RUN)),
    ("ts.control", Cancel(run_id=RUN, attempt=2)),
    ("ts.control", Stop(run_id=RUN)),
    (
        "ts.partial",
        Opened(
            **OF_RUN,
            processor=0,
            clock=Clock(samplerate=44_100, hop_length=512, frame_length=2048),
            outputs=(OpenedOutput(name="", columns=(2,), bins=(0.0, 1.5)), OpenedOutput(name="b", bins=("C", "D"))),
        ),
    ),
    ("ts.encoded", Closed(**OF_RUN, processor=0, messages=12)),
    (
        "ts.dlq",
        DeadLetter(
            topic="ts.result",
            partition=0,
            offset=5,
            timestamp_ms=1,
            key=b"\x00\xff",
            headers={"traceparent": b"\xfe"},
            group="recorder",
            cause="magic",
            value=b"\x80",
        ),
    ),
]
BODIES: list[tuple[BlockKind, JsonMessage]] = [
    (BlockKind.START, Start(run=A_RUN, facts=FACTS)),
    (BlockKind.END, End(facts=FACTS, samples=9, decoder=BARE, warnings=("clipped",))),
    (BlockKind.ERROR, DecodingError(code="corrupt", reason="bad frame", retriable=False)),
    (BlockKind.DISCONTINUITY, Discontinuity(reason="reconnected")),
]


def block(kind: BlockKind = BlockKind.DATA, **changes: Any) -> Block:
    values: dict[str, Any] = {
        "kind": kind,
        "run_id": RUN,
        "attempt": 2,
        "stream_id": 0x1122334455667788,
        "seq": 0 if kind is BlockKind.START else 7,
        "first_sample": 0x0102030405060708,
        "samplerate": 44_100,
        "channels": 2,
        "sample_format": SampleFormat.S16,
        **changes,
    }
    return Block(**values)


# Golden bytes


def test_the_bytes_of_a_block():
    payload = np.array([[1, -1], [256, -32768]], "<i2").tobytes()
    encoded = block(samples=2, payload=payload).encode(checksum=True)
    assert encoded.hex(" ", 4) == (
        "54534231 01004000 02000000 07000000"
        " 01931f6e 00007000 80000000 00000001"
        " 08070605 04030201 02000000 44ac0000"
        f" 02000100 {zlib.crc32(payload).to_bytes(4, 'little').hex()} 88776655 44332211"
        " 0100ffff 00010080"
    )
    assert decode("ts.pcm.analyzer.bulk", encoded) == block(samples=2, payload=payload)


def test_the_bytes_of_partial_rows():
    rows = PartialRows(
        **OF_RUN, seq=3, processor=1, output=4, first_row=9, rows=Rows(np.array([[1.0, 2.0]], np.float32))
    )
    assert rows.encode().hex(" ", 4) == (
        "54535031 01013000 02000000 03000000"
        " 01931f6e 00007000 80000000 00000001"
        " 01000400 09000000 00000000 01000000"
        " 0000803f 00000040"
    )


def test_the_bytes_of_a_chunk():
    chunk = EncodedChunk(**OF_RUN, seq=3, processor=1, first_sample=9, samples=5, data=b"OggS", begins=True)
    assert chunk.encode().hex(" ", 4) == (
        "54534331 01013000 02000000 03000000"
        " 01931f6e 00007000 80000000 00000001"
        " 01000000 09000000 00000000 05000000"
        " 4f676753"
    )


def test_the_bytes_of_a_json_message():
    cancel = b'{"version":1,"kind":"cancel","run_id":"01931f6e-0000-7000-8000-000000000001","attempt":null}'
    assert encode(Cancel(run_id=RUN)) == cancel
    assert decode("ts.control", cancel) == Cancel(run_id=RUN)


# Round trips


@pytest.mark.parametrize(("topic", "message"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_json_messages_come_back(topic: str, message: JsonMessage):
    assert decode(topic, encode(message)) == message


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=lambda value: type(value).__name__)
def test_blocks_with_a_body_come_back(kind: BlockKind, body: JsonMessage):
    assert decode("ts.pcm.a.bulk", encode(block(kind, body=body))) == block(kind, body=body)


def test_a_cancelled_block_comes_back():
    assert decode("ts.pcm.a.bulk", encode(block(BlockKind.CANCELLED))) == block(BlockKind.CANCELLED)


u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))


@given(
    st.integers(1, 500), st.integers(1, 6), st.sampled_from(SampleFormat), u64, u32, st.booleans(), st.integers(1, 9)
)
def test_blocks_come_back(
    samples: int, channels: int, fmt: SampleFormat, first: int, attempt: int, checksum: bool, seed: int
):
    rng = np.random.default_rng(seed)
    audio = (rng.integers(-(1 << 15), 1 << 15, (samples, channels)) / (1 << 15)).astype(np.float32)
    sent = block(
        sample_format=fmt,
        channels=channels,
        samples=samples,
        first_sample=first,
        attempt=max(1, attempt),
        payload=pcm(audio, fmt),
    )
    got = decode("ts.pcm.analyzer.bulk", sent.encode(checksum=checksum))
    assert got == sent
    np.testing.assert_array_equal(got.audio(), audio)
    assert got.audio().dtype == np.float32


def test_audio_is_not_copied():
    audio = np.random.default_rng(440).standard_normal((100, 2), dtype=np.float32)
    assert np.shares_memory(np.frombuffer(pcm(audio, SampleFormat.F32), np.float32), audio)
    encoded = bytes(block(sample_format=SampleFormat.F32, samples=100, payload=pcm(audio, SampleFormat.F32)).encode())
    got = decode("ts.pcm.analyzer.bulk", encoded).audio()
    assert np.shares_memory(got, np.frombuffer(encoded, np.uint8))
    assert not got.flags.writeable


def test_full_scale_clips_in_16_bits_instead_of_turning_over():
    samples = np.frombuffer(pcm(np.array([[1.0], [-1.0], [2.0]], np.float32), SampleFormat.S16), "<i2")
    assert samples.tolist() == [32767, -32768, 32767]


@given(
    npst.arrays(
        st.sampled_from(["<f4", "<f8", "<i4", "<f2", "u1", "<i2", "<i8"]),
        st.tuples(st.integers(1, 20), st.integers(2, 5)) | st.tuples(st.integers(0, 20)),
    ),
    u32,
    u16,
    u16,
    u64,
    st.sampled_from(["framewise", "event", "segment"]),
)
def test_partial_rows_come_back(values: Any, seq: int, processor: int, output: int, first_row: int, mode: str):
    times = np.arange(len(values)) / 3
    rows = {
        "framewise": Rows(values),
        "event": Rows(values, times),
        "segment": Rows(values, times, times + 1),
    }[mode]
    sent = PartialRows(**OF_RUN, seq=seq, processor=processor, output=output, first_row=first_row, rows=rows)
    got = decode("ts.partial", sent.encode())
    for name in ("run_id", "attempt", "seq", "processor", "output", "first_row"):
        assert getattr(got, name) == getattr(sent, name)
    for name in ("values", "times", "durations"):
        np.testing.assert_array_equal(getattr(got.rows, name), getattr(rows, name))
    assert got.rows.values.dtype == values.dtype


def test_events_and_segments_of_the_core_can_be_sent():
    for rows in (events(np.array([1.0, 2.0])), segments(np.array([1.0]), np.array([0.5]), labelled=True)):
        got = decode("ts.partial", PartialRows(**OF_RUN, seq=0, processor=0, output=0, first_row=0, rows=rows).encode())
        np.testing.assert_array_equal(got.rows.times, rows.times)
        np.testing.assert_array_equal(got.rows.values, rows.values)
    with pytest.raises(TypeError, match="complex64 cannot be sent"):
        PartialRows(**OF_RUN, seq=0, processor=0, output=0, first_row=0, rows=Rows(np.zeros(1, np.complex64))).encode()


@given(u32, u16, u64, u32, st.binary(max_size=200), st.booleans(), st.booleans())
def test_chunks_come_back(seq: int, processor: int, first: int, samples: int, data: bytes, begins: bool, ends: bool):
    sent = EncodedChunk(
        **OF_RUN,
        seq=seq,
        processor=processor,
        first_sample=first,
        samples=samples,
        data=data,
        begins=begins,
        ends=ends,
    )
    assert decode("ts.encoded", encode(sent)) == sent


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.dictionaries(st.text(), st.text(), max_size=3))
def test_parameters_and_tags_come_back(parameters: dict[str, Any], tags: dict[str, str]):
    processor = MFCC.model_copy(update={"parameters": parameters})
    plan = PLAN.model_copy(update={"processors": (processor,)})
    sent = Decode(run=A_RUN.model_copy(update={"plan": plan}))
    assert decode("ts.cmd.decode.bulk", encode(sent)).run.plan.processors[0].parameters == parameters
    facts = Facts(**OF_RUN, facts=MediaFacts(samplerate=1, channels=1, tags=tags), final=False)
    assert decode("ts.result", encode(facts)) == facts
    assert "\0" not in "".join([*facts.facts.tags, *facts.facts.tags.values()])


# Anything else is poison


@given(st.sampled_from(TOPICS), st.binary(max_size=300))
def test_any_bytes_decode_or_are_poison(topic: str, value: bytes):
    decodes_or_is_poison(topic, value)


@given(st.data())
def test_any_damage_decodes_or_is_poison(data: st.DataObject):
    samples: list[tuple[str, bytes]] = [
        *((topic, bytes(encode(message))) for topic, message in EXAMPLES),
        *(("ts.pcm.a.bulk", bytes(encode(block(kind, body=body)))) for kind, body in BODIES),
        ("ts.pcm.a.bulk", bytes(block(samples=2, payload=bytes(8)).encode(checksum=True))),
        (
            "ts.partial",
            PartialRows(**OF_RUN, seq=0, processor=0, output=0, first_row=0, rows=Rows(np.zeros(3))).encode(),
        ),
        ("ts.encoded", EncodedChunk(**OF_RUN, seq=0, processor=0, first_sample=0, samples=0, data=b"x").encode()),
    ]
    topic, value = data.draw(st.sampled_from(samples))
    damaged = bytearray(value)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 120)))] = data.draw(st.integers(0, 255))
    decodes_or_is_poison(topic, bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))]))


@given(st.sampled_from(TOPICS), json_values)
def test_any_json_decodes_or_is_poison(topic: str, value: Any):
    decodes_or_is_poison(topic, json.dumps(value).encode())


def decodes_or_is_poison(topic: str, value: bytes) -> None:
    try:
        message = decode(topic, value)
    except PoisonError:
        return
    assert isinstance(message, kinds(topic))


@pytest.mark.parametrize(
    ("topic", "value", "cause"),
    [
        ("ts.pcm.a.bulk", b"", "0 bytes are less than a header of 64"),
        ("ts.pcm.a.bulk", bytes(64), "magic"),
        ("ts.pcm.a.bulk", b"{}" + bytes(64), "magic"),
        ("ts.control", b"", "EOF"),
        ("ts.control", b"\xff", "message"),
        ("ts.control", b'{"kind":"cancel","version":2,"run_id":"01931f6e-0000-7000-8000-000000000001"}', "version"),
        (
            "ts.control",
            b'{"kind":"cancel","run_id":"01931f6e-0000-7000-8000-000000000001"}',
            "does not say its version",
        ),
        ("ts.control", b'{"kind":"cancel","version":1}', "run_id: Field required"),
        ("ts.result", b'{"kind":"cancel","version":1}', "kind|cancel"),
        ("ts.result", b"[" * 100_000, "message"),
        ("ts.result", b"1" * 100_000, "message"),
        ("ts.result", b" " * ((1 << 18) + 1), "longer than 262144"),
    ],
)
def test_causes_say_what_is_wrong(topic: str, value: bytes, cause: str):
    with pytest.raises(PoisonError, match=cause):
        decode(topic, value)


@pytest.mark.parametrize(
    ("at", "byte", "cause"),
    [
        (4, 2, "version 2 of TSB1 is unknown"),
        (5, 9, "BlockKind 9 is unknown"),
        (5, 4, "CANCELLED block has 8 bytes of payload"),
        (5, 5, "START block has seq=7"),
        (6, 63, "header_length=63"),
        (8, 0, "attempt=0"),
        (12, 0, "DATA block has seq=0"),
        (40, 3, "DATA block of 3 samples, 2 channels has 8 bytes"),
        (42, 2, "131074 samples"),
        (50, 2, "SampleFormat 2 is unknown"),
        (51, 1, "flags 0x01"),
        (64, 1, "does not match its checksum"),
    ],
)
def test_what_is_wrong_with_a_block(at: int, byte: int, cause: str):
    encoded = block(samples=2, payload=bytes(8)).encode(checksum=True)
    encoded[at] = byte
    if 40 <= at <= 42 or at == 5:
        encoded[5] = byte if at == 5 else 0
        encoded[40:44] = (0).to_bytes(4, "little") if at == 5 and byte == 4 else encoded[40:44]
    with pytest.raises(PoisonError, match=cause):
        decode("ts.pcm.a.bulk", encoded)


def test_extensions_of_a_header_are_skipped():
    encoded = bytearray(block(samples=2, payload=b"\1\0\2\0\3\0\4\0").encode())
    encoded[6] = 64 + 6
    encoded[64:64] = b"future"
    assert decode("ts.pcm.a.bulk", encoded) == block(samples=2, payload=b"\1\0\2\0\3\0\4\0")


def test_fields_of_a_later_minor_change_are_ignored():
    later = json.loads(encode(Cancel(run_id=RUN))) | {"because": "bored"}
    assert decode("ts.control", json.dumps(later).encode()) == Cancel(run_id=RUN)


# Rules


@given(st.integers(1, 65_535), st.sampled_from(SampleFormat))
def test_the_rule_of_block_samples(channels: int, fmt: SampleFormat):
    samples = block_samples(channels, fmt)
    size = samples * channels * fmt.dtype.itemsize
    assert samples.bit_count() == 1
    assert size <= MAX_PAYLOAD_BYTES
    assert samples == 1 << 16 or size * 2 > MAX_PAYLOAD_BYTES


def test_known_sizes_of_blocks():
    assert block_samples(2, SampleFormat.S16) == block_samples(2, SampleFormat.F32) == 65_536
    assert block_samples(6, SampleFormat.F32) == 16_384
    assert block_samples(65_535, SampleFormat.F32) == 2


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(MessageSizeError, match="Facts of"):
        encode(
            Facts(
                **OF_RUN,
                facts=MediaFacts(samplerate=1, channels=1, tags={str(n): "é" * 4096 for n in range(99)}),
                final=True,
            )
        )


def test_unknown_topics_are_an_error_of_the_caller():
    with pytest.raises(MissingTopicError, match=r"'ts\.pcmx'"):
        decode("ts.pcmx", b"")
    with pytest.raises(MissingTopicError):
        kinds("other")


@pytest.mark.parametrize(
    ("model", "values", "rule"),
    [
        (StoredResultRef, {"prefix": "a/../b", "manifest_sha256": SHA}, r"no \. and no \.\."),
        (StoredResultRef, {"prefix": "/etc", "manifest_sha256": SHA}, "no empty part"),
        (StoredMedia, {"sha256": "AB" * 32, "size": 1}, "pattern"),
        (Plan, {"source": PLAN.source, "processors": (), "sinks": ()}, "at least 1"),
        (Plan, {"source": PLAN.source, "processors": (MFCC,), "sinks": (Sink(pool="x", partition=0),)}, "not among"),
        (Plan, {"source": PLAN.source, "processors": (MFCC,), "sinks": PLAN.sinks * 2}, "twice"),
        (Run, {"run_id": RUN, "attempt": 0, "lane": "bulk", "plan": PLAN}, "greater than or equal to 1"),
    ],
)
def test_values_outside_their_rule_are_refused(model: type[Any], values: dict[str, Any], rule: str):
    with pytest.raises(ValidationError, match=rule):
        model(**values)


def test_what_the_core_says_can_be_said_in_messages():
    media = Media(uri="a.flac", samplerate=44_100, channels=2, samples=9, codec="flac", tags={"title": "A\0B"})
    said = MediaFacts.of(media).media("a.flac")
    assert dict(said.tags) == {"title": "AB"}
    assert (said.samplerate, said.channels, said.samples, said.codec) == (44_100, 2, 9, "flac")
    stream = Stream(samplerate=44_100, hop_length=512, frame_length=2048, start_s=-0.5)
    assert Clock.of(stream).stream() == stream
    assert PLAN.segment.segment() == Segment(10, 100)
    live = Plan(source=LiveSource(session=RUN, url="https://radio.example/a"), processors=(MFCC,), sinks=())
    assert decode("ts.cmd.live", encode(Decode(run=A_RUN.model_copy(update={"plan": live})))).run.plan == live
