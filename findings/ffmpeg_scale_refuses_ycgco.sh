#!/usr/bin/env bash
# ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 packages it (Linux, x86-64), seen on 2026-11-30; 7.0.2 (imageio-ffmpeg 0.6.0) too.
#
# Behaviour: a video whose stream is tagged YCgCo (a matrix of H.273 that H.264 may state) can be decoded and stored, but
# not made smaller: the filter scale, which need not know the matrix to change a size, cannot be joined to it, and ffmpeg
# ends without a frame. zscale makes it smaller, and setparams in front of scale, which changes the tag alone, helps.
#
# Why it matters here: every frame is scaled. features/decoding/colour.py therefore hides such tags from the scaler and
# converts with zscale.
#
# Output seen: "exit codes: as it is 0, scale 218, zscale 0, another tag before scale 0".
# The script exits with 0 while that is so, and with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==0.8.1"
ffmpeg=$(venv/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")

"$ffmpeg" -v error -y -f lavfi -i "testsrc2=size=160x120:rate=10:duration=0.5" -pix_fmt yuv420p -c:v libx264 \
    -bsf:v "h264_metadata=matrix_coefficients=8:colour_primaries=1:transfer_characteristics=1" tagged.mp4

filtered() {
    "$ffmpeg" -v quiet -nostdin -y -i tagged.mp4 -vf "$1" -pix_fmt yuv420p -f rawvideo frames.yuv && echo 0 || echo $?
}

plain=$(filtered null)
scaled=$(filtered scale=80:60)
converted=$(filtered zscale=w=80:h=60:m=170m)
renamed=$(filtered "setparams=colorspace=bt709,scale=80:60")
echo "exit codes: as it is $plain, scale $scaled, zscale $converted, another tag before scale $renamed"
[ "$plain" = 0 ] && [ "$scaled" != 0 ] && [ "$converted" = 0 ] && [ "$renamed" = 0 ]
