"""python -m tradebot."""

import sys

from tradebot.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
