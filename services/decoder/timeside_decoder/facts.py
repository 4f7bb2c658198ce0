"""What FFmpeg tells of an opened file, in the words of `Media`."""

import re

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

_MIME_TYPES = {
    "wav": "audio/wav", "w64": "audio/x-w64", "aiff": "audio/aiff", "caf": "audio/x-caf", "flac": "audio/flac",
    "mp3": "audio/mpeg", "aac": "audio/aac", "ac3": "audio/ac3", "wv": "audio/x-wavpack", "ape": "audio/x-ape",
    "au": "audio/basic", "amr": "audio/amr", "avi": "video/x-msvideo", "mpegts": "video/mp2t",
}  # fmt: skip


def mime_type(container: InputContainer, head: bytes) -> str:
    """MIME type by container, and whether there are moving pictures."""
    name = container.format.name.split(",")[0]
    pictures = [each for each in container.streams.video if Disposition.attached_pic not in each.disposition]
    kind = "video" if pictures else "audio"
    if name == "mov":
        brand = container.metadata.get("major_brand", "")
        if brand.startswith("3g"):
            return f"{kind}/3gpp"
        return "video/quicktime" if brand in ("", "qt  ") else f"{kind}/mp4"
    if name == "matroska":
        return f"{kind}/webm" if b"webm" in head[:64] else f"{kind}/matroska"
    if name == "asf":
        return "video/x-ms-wmv" if pictures else "audio/x-ms-wma"
    return _MIME_TYPES.get(name, f"{kind}/{name}")


def bit_depth(stream: AudioStream, head: bytes) -> int | None:
    """Bits of an integer sample; None for lossy codecs and floats, and where it is not told."""
    context = stream.codec_context
    codec, extra = context.codec.canonical_name, context.extradata or b""
    if pcm := re.match(r"pcm_[su](\d+)", codec):
        return int(pcm[1])
    format: str = getattr(context.format, "name", "").removesuffix("p")  # there is none where nothing was recognised
    if not context.codec.lossless or format not in ("u8", "s16", "s32"):
        return None
    if format != "s32":
        return int(format[1:])
    if codec == "flac" and len(extra) > 13:
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1
    if codec == "alac" and len(extra) > 17:
        return extra[17]
    if codec == "wavpack" and head[:4] == b"wvpk":
        flags = int.from_bytes(head[24:28], "little")
        return 8 * ((flags & 3) + 1) - (flags >> 13 & 31)
    return 24 if codec == "ape" else None
