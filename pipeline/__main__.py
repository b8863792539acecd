"""``python -m pipeline``: the helper command line."""

from __future__ import annotations

import sys

from pipeline.commands.cli import main
from pipeline.startup import install_signal_handlers

if __name__ == "__main__":
    install_signal_handlers()
    sys.exit(main())
