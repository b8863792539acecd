"""Runs every benchmark that needs no data of the user, one after the other; ``decode_cost`` takes a manifest."""

from __future__ import annotations

import sys

from benchmarks import (
    aggregator_steps,
    colour_table,
    decode_paired,
    download_throughput,
    extract_memory,
    extract_throughput,
    manifest_scale,
    noop_run,
    one_pass,
    order_tags,
    shard_reads,
    training_steps,
    walk,
)

BENCHMARKS = (
    *(noop_run, manifest_scale, download_throughput, order_tags, aggregator_steps),
    *(decode_paired, colour_table, shard_reads, extract_throughput, one_pass, extract_memory, training_steps, walk),
)


def main() -> None:
    """Run them with their defaults."""
    sys.argv = sys.argv[:1]
    for benchmark in BENCHMARKS:
        benchmark.main()


if __name__ == "__main__":
    main()
