"""ID3v2.4 tags, as MP3 files begin with them."""

from collections.abc import Mapping

FRAMES = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "album_artist": "TPE2",
    "composer": "TCOM",
    "date": "TDRC",
    "genre": "TCON",
    "track": "TRCK",
    "disc": "TPOS",
    "copyright": "TCOP",
    "publisher": "TPUB",
    "isrc": "TSRC",
    "encoder": "TSSE",
}
"""Text frames by tag; a comment has a frame of its own, all others are user-defined text."""
UTF_8 = b"\x03"


def id3(tags: Mapping[str, str], *, padding: int = 0) -> bytes:
    """The tag, with that many bytes of room after its frames (ID3v2.4.0, main structure and native frames)."""
    frames = b"".join(_frame(name, text) for name, text in {"encoder": "LAME", **tags}.items()) + bytes(padding)
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def _frame(name: str, text: str) -> bytes:
    if name == "comment":
        id, data = "COMM", b"und\0" + text.encode()  # language undetermined, no description
    elif name in FRAMES:
        id, data = FRAMES[name], text.encode()
    else:
        id, data = "TXXX", name.encode() + b"\0" + text.encode()
    return id.encode() + _synchsafe(1 + len(data)) + b"\0\0" + UTF_8 + data


def _synchsafe(size: int) -> bytes:
    """28 bits in four bytes of seven, so that no size looks like the start of an MPEG frame."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
