"""``python -m pipeline``: the helper command line."""

from __future__ import annotations

import sys

from pipeline.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
