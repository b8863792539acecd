"""Runs every benchmark that needs no data of the user, one after the other; ``decode_cost`` takes a manifest."""

from __future__ import annotations

import sys

from benchmarks import download_throughput, manifest_scale, order_tags


def main() -> None:
    """Run them with their defaults."""
    sys.argv = sys.argv[:1]
    for benchmark in (manifest_scale, download_throughput, order_tags):
        benchmark.main()


if __name__ == "__main__":
    main()
