"""Decodes the clips that come on stdin, one JSON object a line, and prints what each has cost.

``benchmarks.decode_paired`` starts it by its path, with ``PYTHONPATH`` leading to one of two source trees: only what
both trees have is imported.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from features.base.outcomes import Outcome
from features.decoding.clip import decode_clip
from features.decoding.config import DecodeConfig
from features.decoding.shard import open_clip_decoder
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile


def main() -> None:
    """Answer each line with ``[ffmpeg's CPU seconds, this process's CPU seconds, status]``."""
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            clip = json.loads(line)
            path = Path(clip["path"])
            file = MediaFile(FROM_MANIFEST, clip["path"], clip["kind"], path.stat().st_size, "")
            row = DownloadedClip(Outcome(path.stem, "ok"), file)
            config = DecodeConfig(**clip["settings"])
            with open_clip_decoder(config, lambda file: Path(file.path), Path(folder) / "shard", 1) as decoder:
                started = time.process_time()
                found = decode_clip(row, decoder)
                own = time.process_time() - started
            print(json.dumps([found.cpu_seconds, own, found.outcome.status]), flush=True)


if __name__ == "__main__":
    main()
