"""Fetches models from the hub into its local cache, once: their files, never their code."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from features.backbones.pretrained.weights_digest import MODEL_SUFFIXES
from features.base.errors import SourceError, one_line

# Weights in pickled form are fetched only where there are none as safetensors.
PICKLED = "*.bin"
WANTED = tuple(f"*{suffix}" for suffix in MODEL_SUFFIXES if f"*{suffix}" != PICKLED)


def hub_model(name: str, revision: str) -> Path:
    """Return the folder of the local cache that holds the files of a model.

    What the cache knows as ``revision`` is what is used, although a branch may have moved on since: nothing
    is asked for again that is there. With ``HF_HUB_OFFLINE=1``, or when the hub cannot be reached, the cache
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
    """Return the commit that the cache knows as ``revision``, else the revision itself."""
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
