"""A Whisper of transformers with what stands before and behind it: sound in, text out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from features.backbones.audio.logmel import SAMPLE_RATE_HZ
from features.backbones.pretrained.transformers_models import quiet
from features.base.device import resolve_device
from features.base.errors import SettingError

if TYPE_CHECKING:
    from features.formats.clip_data import Float32
    from features.recognition.recognition_config import AsrConfig

# Start, language, task and "no timestamps" stand before the text and count as tokens.
PROMPT_TOKENS = 4


class Whisper:
    """The network with its feature extractor and tokenizer.

    Attributes:
        passage_seconds: How much sound it takes at once.
        device: Where it runs.

    Raises:
        SettingError: It does not know the language, or cannot write so many tokens.
    """

    # Any: the classes of transformers have no common type.
    def __init__(self, config: AsrConfig, model: Any, extractor: Any, tokenizer: Any) -> None:  # noqa: ANN401
        longest = model.config.max_target_positions - PROMPT_TOKENS
        if config.max_new_tokens > longest:
            raise SettingError(
                f"max_new_tokens {config.max_new_tokens} is too many for {config.backbone}: give at most {longest}"
            )
        self._extractor = extractor
        self._tokenizer = tokenizer
        self._options = {"max_new_tokens": config.max_new_tokens, **_language_options(config, model.generation_config)}
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        self.device = resolve_device(config.device)
        self._model = model.eval().to(self.device)
        self.passage_seconds = float(extractor.chunk_length)

    def texts(self, sounds: list[Float32]) -> list[str]:
        """Return what is said in each ``(S,)`` piece of sound at 16 kHz, ``""`` where nothing is."""
        spectra = self._extractor(sounds, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")["input_features"]
        with torch.inference_mode(), quiet():
            tokens = self._model.generate(
                input_features=spectra.to(self.device),
                do_sample=False,
                num_beams=1,
                return_timestamps=False,
                **self._options,
            )
        return [" ".join(text.split()) for text in self._tokenizer.batch_decode(tokens, skip_special_tokens=True)]


# Any: generation settings take what a model's file says.
def _language_options(config: AsrConfig, generation: Any) -> dict[str, str]:  # noqa: ANN401
    """Return what ``generate`` is told of language and task: nothing for a model of one language."""
    language = config.language.lower()
    code = TO_LANGUAGE_CODE.get(language, language)
    if not getattr(generation, "is_multilingual", False):
        if code not in {"", "en"}:
            raise SettingError(
                f"language {config.language!r}: {config.backbone} knows English only, as its generation_config.json "
                "lists no languages; leave it empty"
            )
        return {}
    if not code:
        return {"task": "transcribe"}
    known = sorted(token.strip("<|>") for token in getattr(generation, "lang_to_id", {}))
    if code not in known:
        raise SettingError(
            f"unknown language {config.language!r} of {config.backbone}: expected one of {', '.join(known)}, or nothing"
        )
    return {"task": "transcribe", "language": code}
