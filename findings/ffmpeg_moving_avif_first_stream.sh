#!/usr/bin/env bash
# Pillow 13.0.0 and ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 packages it (Linux, x86-64), seen on 2026-11-30.
#
# Behaviour: a moving AVIF as libavif writes it (Pillow's save_all) holds a still picture beside its track. ffmpeg lists
# the still one as the first video stream, so "-map 0:v:0", the usual choice, gives one picture, and the film is the
# second stream. Without -map ffmpeg takes the still one, too.
#
# Why it matters here: Decode takes the first video stream of a file. For a moving AVIF it asks for the one of the track.
#
# Output seen: "frames: first stream 1, second stream 5, chosen by ffmpeg 1".
# The script exits with 0 while that is so, and with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==0.8.1" "pillow==13.0.0"
ffmpeg=$(venv/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
venv/bin/python - <<'PYTHON'
from PIL import Image

pictures = [Image.new("RGB", (64, 48), (50 * n, 200 - 40 * n, 90)) for n in range(5)]
pictures[0].save("moving.avif", save_all=True, append_images=pictures[1:], duration=200)
PYTHON

frames() {
    "$ffmpeg" -v quiet -nostdin -i moving.avif "$@" -fps_mode passthrough -f framemd5 - | grep -vc '^#' || true
}

first=$(frames -map 0:v:0)
second=$(frames -map 0:v:1)
chosen=$(frames)
echo "frames: first stream $first, second stream $second, chosen by ffmpeg $chosen"
[ "$first" = 1 ] && [ "$second" = 5 ] && [ "$chosen" = 1 ]
