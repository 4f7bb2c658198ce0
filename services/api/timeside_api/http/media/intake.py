"""From bytes in the store to a media that items can have."""

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from timeside_api.http.platform import Platform
from timeside_core.messages import MediaFacts


async def described(parts: Platform, sha256: str) -> MediaFacts | None:
    """What the header of a media says; None where nobody here can tell. Raises a problem where it is no audio."""
    loop = asyncio.get_running_loop()
    path = await loop.run_in_executor(parts.readers, parts.store.media_file, sha256, parts.scratch)
    try:
        return await parts.describer.describe(path)
    finally:
        if path.is_relative_to(parts.scratch):
            path.unlink(missing_ok=True)


def titled(said: Mapping[str, Any], facts: MediaFacts | None, filename: str) -> dict[str, Any]:
    """What is said of an item; the title is that of the file, where neither somebody nor its tags give one."""
    if said.get("title") or (facts is not None and facts.tags.get("title")):
        return dict(said)
    return {**said, "title": PurePosixPath(filename).stem[:1000]}
