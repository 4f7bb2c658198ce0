"""`timeside-decoder`: the decoder service, of stored media or, where `TIMESIDE_LIVE` says so, of live sources."""

import os
import sys
from collections.abc import Sequence

from timeside_core.stage.service import Stage
from timeside_core.stage.service import main as serve
from timeside_decoder.stage import NAME, STAGE, DecoderSettings


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(NAME, _stages, lambda: DecoderSettings.of_environment(os.environ)))


def _stages(settings: DecoderSettings) -> Sequence[Stage]:
    if not settings.live:
        return [STAGE]
    from timeside_decoder.live_stage import LIVE_STAGE  # not above: the fetcher is for this deployment only

    return [LIVE_STAGE]


if __name__ == "__main__":
    main()
