"""`timeside-decoder`: the decoder service."""

import os
import sys

from timeside_core.stage.service import main as serve
from timeside_decoder.stage import NAME, STAGE, DecoderSettings


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(NAME, [STAGE], lambda: DecoderSettings.of_environment(os.environ)))


if __name__ == "__main__":
    main()
