"""Embedded tags under common lower-case names, whatever the container calls them."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.id3 import ID3
from mutagen.oggvorbis import OggVorbis

MAX_VALUE_CHARACTERS = 4096
"""Longer values are cut: tags travel with every result."""

NAMES = frozenset({
    "title", "artist", "album", "album_artist", "composer", "lyricist", "conductor", "performer", "engineer", "date",
    "genre", "comment", "track", "disc", "copyright", "publisher", "license", "isrc", "language", "location", "source",
    "keywords", "subject", "encoder", "description", "originator", "originator_reference", "origination_date",
    "origination_time", "time_reference", "coding_history",
})  # fmt: skip
"""All that a media's tags may hold; the last six and `description` are those of Broadcast Wave (EBU Tech 3285)."""

_ALIASES = {
    "albumartist": "album_artist", "album artist": "album_artist", "tracknumber": "track", "discnumber": "disc",
    "year": "date", "date_recorded": "date", "organization": "publisher", "label": "publisher",
    "author": "artist", "comments": "comment", "software": "encoder", "encoded_by": "encoder",
}  # fmt: skip
_VORBIS = {"description": "comment"}
"""As FFmpeg reads and writes it; here `description` is that of Broadcast Wave."""
_ID3 = {
    "TIT2": "title", "TPE1": "artist", "TALB": "album", "TPE2": "album_artist", "TCOM": "composer",
    "TEXT": "lyricist", "TPE3": "conductor", "TDRC": "date", "TCON": "genre", "TRCK": "track",
    "TPOS": "disc", "TCOP": "copyright", "TPUB": "publisher", "TSRC": "isrc", "TLAN": "language", "TSSE": "encoder",
}  # fmt: skip

Tags = Mapping[str, str]


def common(tags: Mapping[str, str]) -> Tags:
    """The tags that have a common name, under it."""
    named: dict[str, str] = {}
    for key, value in tags.items():
        name = key.lower()
        name = _ALIASES.get(name, name)
        value = _readable(value).strip()[:MAX_VALUE_CHARACTERS]
        if name in NAMES and value and (name, value) != ("language", "und"):
            named.setdefault(name, value)
    return named


def text(content: bytes) -> str:
    """Text up to a zero byte: UTF-8 where it is that, else Latin-1."""
    content = content.split(b"\0", 1)[0]
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def id3(content: bytes) -> dict[str, str]:
    """Tags of an ID3v2 tag."""
    return _frames(_loaded(ID3, io.BytesIO(content)))


def mp3(path: str) -> dict[str, str]:
    """Tags of an MPEG audio file: ID3v2, else ID3v1."""
    return _frames(_loaded(ID3, path))


def comments(path: str, container: str) -> dict[str, str]:
    """Comments of a FLAC file, or of an Ogg file that holds Vorbis."""
    pairs: Any = getattr(_loaded(FLAC if container == "flac" else OggVorbis, path), "tags", None) or ()
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        name = str(key).lower()
        values.setdefault(_VORBIS.get(name, name), []).append(value)
    return {name: _joined(several) for name, several in values.items()}


def _readable(value: str) -> str:
    """The text without surrogates, which stand for bytes that are no UTF-8, or for nothing at all."""
    try:
        return text(value.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return text(value.encode(errors="replace"))


def _loaded(kind: Any, source: Any) -> Any:
    """The tags, or None where there are none; broken tags never stop a decode."""
    try:
        return kind(source)
    except MutagenError:
        return None


def _frames(tag: Any) -> dict[str, str]:
    if tag is None:
        return {}
    found: dict[str, str] = {}
    for id, name in _ID3.items():
        if frames := tag.getall(id):
            found[name] = _joined(str(text) for text in frames[0].text)
    for frame in tag.getall("COMM"):
        if not frame.desc:  # those with a description are notes of programs to themselves
            found.setdefault("comment", _joined(frame.text))
    for frame in tag.getall("TXXX"):
        found.setdefault(frame.desc.lower(), _joined(str(text) for text in frame.text))
    return found


def _joined(values: Iterable[str]) -> str:
    return "; ".join(values)
