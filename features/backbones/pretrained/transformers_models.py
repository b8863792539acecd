"""Loads transformers models quietly, without remote code, and with nothing left at random."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import transformers
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError

from features.backbones.pretrained.hub import hub_model
from features.backbones.pretrained.model_folder import is_folder_name, model_folder
from features.backbones.pretrained.weights_digest import sha256_of_model
from features.base.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


# What from_pretrained raises for missing, unreachable, damaged and foreign files.
LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError)
# Weights that a checkpoint may lack: poolers, which are then not used, and what only training looks at.
MAY_LACK = ("pooler.", "masked_spec_embed")


class Pretrained:
    """A model in a folder, or on the hub, from where its files are fetched first.

    Raises:
        SourceError: The folder does not exist or holds no model, or the hub does not give it.
    """

    def __init__(self, name: str, revision: str = "main", *, pinned_sha256: str | None = None) -> None:
        self.name = name
        self._pinned_sha256 = pinned_sha256
        with quiet():
            self._folder = model_folder(name) if is_folder_name(name) else hub_model(name, revision)

    # Any: transformers' auto classes promise nothing about what they return.
    def part(self, loader: Callable[..., Any], what: str) -> Any:  # noqa: ANN401
        """Return what ``loader`` (a ``from_pretrained``) makes of the model; ``what`` names it in errors.

        Raises:
            SourceError: It is missing, damaged, not known to transformers, or needs code from the hub.
        """
        return self._load(loader, what)

    def network(
        self, loader: Callable[..., Any] = transformers.AutoModel.from_pretrained
    ) -> tuple[nn.Module, frozenset[str]]:
        """Return the model in float32, and the names of the weights that its files lack (poolers at most).

        Raises:
            SourceError: As ``part``; or weights other than a pooler's are lacking, which would be random.
        """
        model, info = self._load(loader, "model", output_loading_info=True)
        lacking = frozenset(str(key) for key in info["missing_keys"])
        random = sorted(key for key in lacking if not any(part in key for part in MAY_LACK))
        if random:
            raise SourceError(
                f"model {self.name!r} lacks {len(random)} weights ({', '.join(random[:3])}, ...), which "
                "would be random: give a complete checkpoint of this kind of model"
            )
        return model.float(), lacking

    def digest(self) -> str:
        """Return the pinned sha256, else the one over the model's files."""
        return self._pinned_sha256 or sha256_of_model(self._folder)

    # Any: transformers' auto classes promise nothing about what they return.
    def _load(self, loader: Callable[..., Any], what: str, **options: bool | str) -> Any:  # noqa: ANN401
        try:
            with quiet():
                return loader(str(self._folder), trust_remote_code=False, local_files_only=True, **options)
        except LOAD_ERRORS as error:
            reason = " ".join((str(error) or type(error).__name__).split())[:300]
            raise SourceError(
                f"transformers cannot load the {what} of {self.name!r} ({reason}); "
                "give the folder of a complete model, or a hub id"
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
