"""`timeside-analyzer`: the analyzer service, of the pool that `TIMESIDE_POOL` names."""

import os
import sys

from timeside_analyzer.stage import POOL, STAGE
from timeside_core.stage.service import main as serve
from timeside_core.stage.settings import StageSettings


def main() -> None:
    """Serve until told to stop."""
    sys.exit(serve(POOL, [STAGE], lambda: StageSettings.of_environment(os.environ)))


if __name__ == "__main__":
    main()
