"""`timeside-grapher`: the grapher service."""

import os
import sys

from timeside_core.stage.service import main as serve
from timeside_core.stage.settings import StageSettings
from timeside_grapher.stage import DRAW_STAGE, POOL, STAGE


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(POOL, [STAGE, DRAW_STAGE], lambda: StageSettings.of_environment(os.environ)))


if __name__ == "__main__":
    main()
