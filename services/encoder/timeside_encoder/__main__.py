"""`timeside-encoder`: the encoder service."""

import os
import sys

from timeside_core.stage.service import main as serve
from timeside_core.stage.settings import StageSettings
from timeside_encoder.stage import POOL, STAGE


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(POOL, [STAGE], lambda: StageSettings.of_environment(os.environ)))


if __name__ == "__main__":
    main()
