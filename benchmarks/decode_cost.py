"""What Decode costs: its CPU-seconds a clip divided by those of the bare `ffmpeg -i x -f null -` on the same files.

Each file is decoded by the bare command and by Decode, exact and fast, one after the other, several times over, so
that a busy machine slows all of them alike. The processor time of each ffmpeg is what the kernel counted for it
(`wait4`); the time of this process, which starts ffmpeg and counts frames, is reported separately.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.base.outcomes import Outcome
from features.decoding.clip import decode_clip
from features.decoding.config import SAMPLINGS, DecodeConfig
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from features.decoding.work import ClipDecoder
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile
from features.downloads.media_kinds import SNIFF_BYTES, kind_of
from features.formats.matroska import stored_pictures


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path, help="JSON lines with a field `video`, a path beside the manifest")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/decode_cost.json"))
    options = parser.parse_args()
    lines = options.manifest.read_text(encoding="utf-8").splitlines()
    paths = [options.manifest.parent / json.loads(line)["video"] for line in lines if line]
    binary = find_ffmpeg("")
    figures: dict[str, object] = {"ffmpeg": ffmpeg_version(binary), "num_clips": len(paths), "repeats": options.repeats}
    figures.update(_measure(paths, binary, options.repeats))
    for name, value in figures.items():
        print(f"{name:<40} {value}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _measure(paths: list[Path], binary: str, repeats: int) -> dict[str, float]:
    """Return medians over the repeats, in milliseconds of CPU a clip, and ratios."""
    seconds: dict[str, list[float]] = {}
    likeness: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = DecodeConfig(ffmpeg=binary)
        decoder = ClipDecoder(config, binary, lambda file: Path(file.path), place, place, 1 << 26)
        fast = replace(config, sampling="fast")
        decoders = {"exact": decoder, "fast": replace(decoder, config=fast)}
        assert set(decoders) == set(SAMPLINGS)
        for repeat in range(repeats):
            spent = dict.fromkeys(("start", "bare", *decoders, "python_exact", "python_fast"), 0.0)
            for path in paths:
                spent["start"] += _cpu_seconds([binary, "-version"])
                spent["bare"] += _cpu_seconds([binary, "-nostdin", "-v", "error", "-i", str(path), "-f", "null", "-"])
                stored = {}
                for name, chosen in decoders.items():
                    stored[name], child, own = _decode(path, chosen)
                    spent[name] += child
                    spent[f"python_{name}"] += own
                if repeat == 0:
                    likeness += _decibels(stored["exact"], stored["fast"])
            for name, value in spent.items():
                seconds.setdefault(name, []).append(value)
    figures = {f"{name}_cpu_ms_per_clip": _median(values) * 1000 / len(paths) for name, values in seconds.items()}
    bare = np.array(seconds["bare"])
    for name in decoders:
        figures[f"{name}_to_bare"] = _median(np.array(seconds[name]) / bare)
        figures[f"{name}_with_python_to_bare"] = _median((np.array(seconds[name]) + seconds[f"python_{name}"]) / bare)
    figures["fast_to_exact_psnr_db_median"] = _median(likeness)
    figures["fast_to_exact_psnr_db_5th_percentile"] = float(np.percentile(likeness, 5))
    return {name: round(value, 3) for name, value in figures.items()}


def _median(values: list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.median(values))


def _cpu_seconds(argv: list[str]) -> float:
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    return usage.ru_utime + usage.ru_stime


def _decode(path: Path, decoder: ClipDecoder) -> tuple[bytes, float, float]:
    """Return the stored clip, the CPU-seconds of ffmpeg, and those of this process."""
    with path.open("rb") as stream:
        kind = kind_of(stream.read(SNIFF_BYTES))
    row = DownloadedClip(
        Outcome(path.stem, "ok"), MediaFile(FROM_MANIFEST, str(path.resolve()), kind, path.stat().st_size, "")
    )
    started = time.process_time()
    clip = decode_clip(row, decoder)
    own = time.process_time() - started
    assert clip.matroska is not None, clip.outcome
    clip.matroska.seek(0)
    data = clip.matroska.read()
    clip.matroska.close()
    return data, clip.cpu_seconds, own


def _decibels(exact: bytes, fast: bytes) -> list[float]:
    """Return the peak signal-to-noise ratio of each frame of one clip against the other's."""
    one, two = (stored_pictures(io.BytesIO(clip)) for clip in (exact, fast))
    pairs = zip(one, two, strict=False)
    errors = [(own.pixels().astype(np.float32) - other.pixels()) ** 2 for own, other in pairs]
    return [float(10 * np.log10(255**2 / max(float(error.mean()), 1e-3))) for error in errors]


if __name__ == "__main__":
    main()
