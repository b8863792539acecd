"""Runs every benchmark, one after the other."""

from __future__ import annotations

import sys

from benchmarks import order_tags


def main() -> None:
    """Run them with their defaults."""
    sys.argv = sys.argv[:1]
    order_tags.main()


if __name__ == "__main__":
    main()
