"""The command line."""

import sys


def main() -> None:
    """Load the command line and run it; an interrupt meanwhile is no traceback either."""
    try:
        from timeside.cli.__main__ import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()
