"""Loads transformers models quietly, without remote code, and with nothing left at random."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import transformers
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError

from features.errors import SourceError
from features.extractors.digests import sha256_of_model
from features.extractors.model_folder import is_folder_name, model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


# What from_pretrained raises for missing, unreachable, damaged and foreign files.
LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError)


class Pretrained:
    """A model on the hub or in a folder."""

    def __init__(self, name: str, revision: str = "main", *, pinned_sha256: str | None = None) -> None:
        self.name = name
        self._revision = revision
        self._pinned_sha256 = pinned_sha256
        self._folder = model_folder(name) if is_folder_name(name) else None

    # Any: transformers' auto classes promise nothing about what they return.
    def part(self, loader: Callable[..., Any], what: str) -> Any:  # noqa: ANN401
        """Return what ``loader`` (a ``from_pretrained``) makes of the model; ``what`` names it in errors.

        Raises:
            SourceError: It is missing, damaged, not known to transformers, or needs code from the hub.
        """
        return self._load(loader, what)

    def network(self) -> tuple[nn.Module, frozenset[str]]:
        """Return the model in float32, and the names of the weights that its files lack (poolers at most).

        Raises:
            SourceError: As ``part``; or weights other than a pooler's are lacking, which would be random.
        """
        model, info = self._load(transformers.AutoModel.from_pretrained, "model", output_loading_info=True)
        lacking = frozenset(str(key) for key in info["missing_keys"])
        random = sorted(key for key in lacking if "pooler." not in key)
        if random:
            raise SourceError(
                f"model {self.name!r} lacks {len(random)} weights ({', '.join(random[:3])}, ...), which "
                "would be random: give a complete checkpoint of this kind of model"
            )
        return model.float(), lacking

    def digest(self) -> str:
        """Return the pinned sha256, else the one over the model's files, for a hub model those in the cache.

        Call it after ``network``, which fetches them.
        """
        if self._pinned_sha256 is not None:
            return self._pinned_sha256
        if self._folder is not None:
            return sha256_of_model(self._folder)
        config = huggingface_hub.try_to_load_from_cache(self.name, "config.json", revision=self._revision)
        if not isinstance(config, str):
            return f"transformers:{self.name}@{self._revision}"
        return sha256_of_model(Path(config).parent)

    # Any: transformers' auto classes promise nothing about what they return.
    def _load(self, loader: Callable[..., Any], what: str, **options: bool | str) -> Any:  # noqa: ANN401
        place = str(self._folder or self.name)
        if self._folder is None:
            options["revision"] = self._revision
        # Else loading weights in the old format asks a server to convert them, in the background.
        os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
        try:
            with quiet():
                return loader(place, trust_remote_code=False, local_files_only=self._folder is not None, **options)
        except LOAD_ERRORS as error:
            reason = " ".join((str(error) or type(error).__name__).split())[:300]
            raise SourceError(
                f"transformers cannot load the {what} of {self.name!r} ({reason}); "
                "give the folder of a complete model, or a hub id that can be reached or is in the local cache"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the bars and reports of loading off the terminal; what matters in them is raised as an error."""
    # Any: these functions have no types.
    reports: Any = transformers.logging
    verbosity = reports.get_verbosity()
    bars = reports.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    reports.set_verbosity_error()
    reports.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        reports.set_verbosity(verbosity)
        if bars:
            reports.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
