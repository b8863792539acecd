"""Models of transformers: fetched from the hub once, loaded quietly, without remote code, and with nothing random."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import transformers
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError

from features.backbones.pretrained.model_files import (
    MODEL_SUFFIXES,
    is_folder_name,
    model_folder,
    sha256_of_model,
)
from features.base.errors import SourceError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


# What from_pretrained raises for missing, unreachable, damaged and foreign files.
LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError)
# Weights that a checkpoint may lack: poolers, which are then not used, and those that only training uses.
MAY_LACK = ("pooler.", "masked_spec_embed")
# Weights in pickled form are fetched only where there are none as safetensors.
PICKLED = "*.bin"
WANTED = tuple(f"*{suffix}" for suffix in MODEL_SUFFIXES if f"*{suffix}" != PICKLED)


class Pretrained:
    """A model in a folder, or on the hub, from where its files are fetched first.

    Raises:
        SourceError: The folder does not exist or has no model, or the hub does not give it.
    """

    def __init__(self, name: str, revision: str = "main", *, pinned_sha256: str | None = None) -> None:
        self.name = name
        self._pinned_sha256 = pinned_sha256
        with quiet():
            self._folder = model_folder(name) if is_folder_name(name) else hub_model(name, revision)

    # Any: transformers' auto classes promise nothing about what they return.
    def part(self, loader: Callable[..., Any], what: str, **options: bool) -> Any:  # noqa: ANN401
        """Return what ``loader`` (a ``from_pretrained``) makes of the model; ``what`` names it in errors.

        Raises:
            SourceError: It is missing, damaged, not known to transformers, or needs code from the hub.
        """
        try:
            with quiet():
                return loader(str(self._folder), trust_remote_code=False, local_files_only=True, **options)
        except LOAD_ERRORS as error:
            reason = one_line(str(error) or type(error).__name__)[:300]
            raise SourceError(
                f"transformers cannot load the {what} of {self.name!r} ({reason}); "
                "give the folder of a complete model, or a hub id"
            ) from error

    def network(
        self, loader: Callable[..., Any] = transformers.AutoModel.from_pretrained
    ) -> tuple[nn.Module, frozenset[str]]:
        """Return the model in float32, and the names of the weights that its files lack (poolers at most).

        Raises:
            SourceError: As ``part``; or weights other than a pooler's are lacking, which would be random.
        """
        model, info = self.part(loader, "model", output_loading_info=True)
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


def hub_model(name: str, revision: str) -> Path:
    """Return the folder of the local cache with the files of a model.

    The commit that the cache has for ``revision`` is used, although a branch may have moved on since: files in the
    cache are not requested again. With ``HF_HUB_OFFLINE=1``, or when the hub cannot be reached, the cache
    has to hold the model. ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_TOKEN`` mean what they mean to the hub's own
    programs.

    Raises:
        SourceError: The hub has no such model or revision, or cannot be reached while files are lacking.
    """
    try:
        folder = _fetch(name, _pinned(name, revision), WANTED)
        if not any(folder.glob("*.safetensors")):
            folder = _fetch(name, _pinned(name, revision), (PICKLED,))
    except Exception as error:
        # What its requests raise depends on the version of the hub's package.
        raise SourceError(_reason(name, revision, error)) from error
    if not (folder / "config.json").is_file():
        raise SourceError(
            f"model {name!r} at {revision!r} has no config.json on the hub: choose a model that transformers can load"
        )
    return folder


def _pinned(name: str, revision: str) -> str:
    """Return the commit that the cache has for ``revision``, else the revision itself."""
    config = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else revision


def _fetch(name: str, revision: str, patterns: tuple[str, ...]) -> Path:
    return Path(
        huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]
        )
    )


def _reason(name: str, revision: str, error: Exception) -> str:
    if isinstance(error, RevisionNotFoundError):
        return f"model {name!r} has no revision {revision!r} on the hub: name one of its branches, tags or commits"
    if isinstance(error, GatedRepoError):
        return f"model {name!r} is gated: accept its terms on the hub and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no model {name!r} that may be read: check the id, or set HF_TOKEN for a private one"
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return (
            f"model {name!r} at {revision!r} is not complete in the local cache and HF_HUB_OFFLINE is set: unset it "
            "once, or give the folder of a complete model"
        )
    reason = one_line(error)[:300] or type(error).__name__
    return (
        f"model {name!r} at {revision!r} cannot be fetched from the hub ({reason}): "
        "run again when it can be reached, or give the folder of a complete model"
    )
