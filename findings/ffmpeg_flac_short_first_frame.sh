#!/usr/bin/env bash
# ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 packages it (Linux, x86-64), seen on 2026-11-30.
#
# Behaviour: ffmpeg opens its FLAC encoder with the size of the first frame that the filters give, and the encoder
# refuses a size below 16 samples ("invalid block size: 8"). A file whose sound comes in packets of a few samples, which
# PCM in Matroska or AVI may have, cannot be encoded to FLAC; the same sound to PCM can. Other streams of the same
# output are lost with it. With one filter, asetnsamples, in front of the encoder the sound is encoded.
#
# Why it matters here: Decode stores sound as FLAC, whatever packets the file has. features/decoding/sound.py therefore
# gives the encoder frames of 2,048 samples.
#
# Output seen: "packets of 8 samples: pcm 0, flac 234, flac behind asetnsamples 0".
# The script exits with 0 while that is so, and with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==0.8.1"
ffmpeg=$(venv/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")

encode() {
    "$ffmpeg" -v quiet -nostdin -y -i sound.wav -af "$1" -c:a "$2" -f matroska out.mkv && echo 0 || echo $?
}

"$ffmpeg" -v error -y -f lavfi -i "sine=frequency=440:duration=1:sample_rate=16000" -c:a pcm_s16le sound.wav
short="asetnsamples=n=8:p=0"
pcm=$(encode "$short" pcm_s16le)
flac=$(encode "$short" flac)
longer=$(encode "$short,asetnsamples=n=2048:p=0" flac)
echo "packets of 8 samples: pcm $pcm, flac $flac, flac behind asetnsamples $longer"
[ "$pcm" = 0 ] && [ "$flac" != 0 ] && [ "$longer" = 0 ]
