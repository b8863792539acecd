"""The networks that read on-screen text, as they lie in the installed package rapidocr, and their digests."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import MappingProxyType

from features.backbones.pretrained.model_files import sha256_of_file
from features.base.errors import SourceError, ToolError

DETECTOR = "PP-OCRv6_det_small.onnx"
READER = "PP-OCRv6_rec_small.onnx"
# The version whose files these are.
AGAIN = "pip install --force-reinstall rapidocr==3.10.0"
SHA256 = MappingProxyType(
    {
        DETECTOR: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        READER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    }
)


def ocr_weights_sha256() -> str:
    """Return one sha256 for both networks, told from the pinned digests."""
    return hashlib.sha256("".join(f"{name}\0{digest}\n" for name, digest in SHA256.items()).encode()).hexdigest()


def verified_weights() -> tuple[Path, Path]:
    """Return the files of the detector and of the reader, after comparing their digests.

    The package is found, not imported.

    Raises:
        ToolError: It is not installed.
        SourceError: A file is missing or differs from the pinned digest.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("package rapidocr is not installed: pip install 'short-video-pipeline[ocr]'")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise SourceError(f"{path} is missing: {AGAIN}")
        found = sha256_of_file(path)
        if found != expected:
            raise SourceError(
                f"{path} has sha256 {found}, but {expected} is pinned, so it is damaged or of another version: {AGAIN}"
            )
    return folder / DETECTOR, folder / READER
