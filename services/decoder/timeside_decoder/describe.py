"""What a file's header and tags say, as JSON, found out in a sandbox: `python -m timeside_decoder.describe FILE`.

It decodes nothing, and prints `{"facts": …}`, or `{"reason": …}` where the file holds no audio that we decode.
"""

import importlib
import json
import resource
import sys
from pathlib import Path

from timeside_core.errors import MediaError
from timeside_core.messages import MediaFacts
from timeside_core.stage import child, sandbox
from timeside_decoder.media import describe

MEMORY_BYTES = 1 << 30
CPU_S = 20


def main() -> None:
    """Read the header of the file named, after giving up all else."""
    path = Path(sys.argv[1]).resolve()
    child.die_with_parent()
    child.limit(MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    sandbox.leave_the_network()
    for module in ("ffmpeg", "sndfile", "tags"):
        importlib.import_module(f"timeside_decoder.{module}")
    sandbox.enter(readable=[str(path)])
    print(json.dumps(_said(path)))


def _said(path: Path) -> dict[str, object]:
    try:
        return {"facts": MediaFacts.of(describe(path)).model_dump(mode="json")}
    except MediaError as error:
        return {"reason": str(error).replace(f"{path}: ", "").replace(str(path), "media")}


if __name__ == "__main__":
    main()
