#!/usr/bin/env bash
# ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 packages it (Linux, x86-64), seen on 2026-11-30.
#
# Behaviour: the question mark of "-map 0:a:0?" makes a stream optional that a file does not name. It does not help with
# a stream that is named and of which no packet comes, as in an MPEG-TS of a camera whose microphone is off. The picture
# is decoded, but the output is never opened, and ffmpeg ends with an error and no byte of the picture.
#
# Why it matters here: Decode asks for picture and sound in one command. features/decoding/plan.py therefore runs a
# second command without a stream that stayed silent.
#
# Output seen: "both streams: exit 234, 0 bytes; the picture alone: exit 0, more than 0 bytes".
# The script exits with 0 while that is so, and with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==0.8.1"
ffmpeg=$(venv/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")

"$ffmpeg" -v error -y -f lavfi -i "testsrc2=size=160x120:rate=10:duration=1" -f lavfi -i "sine=frequency=440:duration=1" \
    -c:v libx264 -pix_fmt yuv420p -c:a aac both.mp4
# The programme still names the sound.
"$ffmpeg" -v error -y -i both.mp4 -c copy -bsf:a noise=drop=1 silent.ts

status=0
"$ffmpeg" -v quiet -nostdin -y -i silent.ts -map "0:v:0?" -map "0:a:0?" -c:v mjpeg -c:a flac both.mkv || status=$?
alone=0
"$ffmpeg" -v quiet -nostdin -y -i silent.ts -map "0:v:0?" -c:v mjpeg picture.mkv || alone=$?
size=$(stat -c %s both.mkv 2>/dev/null || echo 0)
echo "both streams: exit $status, $size bytes; the picture alone: exit $alone, $(stat -c %s picture.mkv) bytes"
[ "$status" != 0 ] && [ "$size" = 0 ] && [ "$alone" = 0 ] && [ -s picture.mkv ]
