#!/usr/bin/env bash
# ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 packages it (Linux, x86-64), seen on 2026-11-30.
#
# Behaviour: when the size of the picture changes on the way, as in recordings of a browser's call, ffmpeg builds its
# filters anew. What a filter holds back is lost: yadif and estdif, which wait for the next picture, lose one at each
# change, also with "deint=interlaced" and nothing interlaced. The exit code is 0, and no warning is printed. Behind a
# filter that picks a few frames a second nearly all of these can be lost. With -reinit_filter 0 and scale in front none is.
#
# Why it matters here: Decode samples frames by time and deinterlaces. features/decoding/plan.py looks for a change in the
# log and runs a second command that keeps its filters.
#
# Output seen: "frames of 96: built anew 85, kept 96; of 10 at two a second: built anew 1, kept 10".
# The script exits with 0 while that is so, and with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==0.8.1"
ffmpeg=$(venv/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")

for part in $(seq 0 11); do
    "$ffmpeg" -v error -y -f lavfi -i "testsrc2=size=$((160 + 16 * part))x120:rate=20:duration=0.4" -c:v libvpx -b:v 300k \
        -auto-alt-ref 0 "$part.webm"
    echo "file $part.webm" >>parts.txt
done
"$ffmpeg" -v error -y -f concat -i parts.txt -c copy call.webm

# Its filters, and options of the input.
frames() {
    "$ffmpeg" -v error -nostdin "${@:2}" -i call.webm -vf "$1" -f framemd5 - | grep -vc '^#' || true
}

all="scale=160:120,yadif=deint=interlaced"
some="fps=2:round=up,scale=160:120,estdif=mode=frame:deint=interlaced"
anew=$(frames "$all")
kept=$(frames "$all" -reinit_filter 0)
few_anew=$(frames "$some")
few_kept=$(frames "$some" -reinit_filter 0)
echo "frames of 96: built anew $anew, kept $kept; of 10 at two a second: built anew $few_anew, kept $few_kept"
[ "$anew" -lt 96 ] && [ "$kept" = 96 ] && [ "$few_anew" -lt 10 ] && [ "$few_kept" = 10 ]
