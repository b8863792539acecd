from __future__ import annotations

import errno
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_is_an_os_error_and_is_told_once(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the disk.
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "import numpy as np; from features.formats.clip_data import ClipFeatures\n"
        "from features.base.outcomes import Outcome; from features.formats.hdf5_shard import ShardWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "try:\n"
        "    with ShardWriter(Path(sys.argv[1]), 8, {'stage': 'test'}, has_tokens=False) as writer:\n"
        "        clip = ClipFeatures(np.ones((500, 8), np.float32), np.zeros(500, np.float32))\n"
        "        writer.add(Outcome('a', 'ok'), clip, expected=500, input_digest=bytes(32))\n"
        "except OSError as error:\n"
        "    print(error.errno, error.filename)\n"
    )
    path = tmp_path / "shard.h5"

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == f"{errno.EFBIG} {path}\n"
