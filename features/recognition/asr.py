"""Speech to text with a Whisper of transformers, in segments of 30 seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from features.backbones.audio.sound_windows import WindowSizes, check_sample_rate, windows
from features.backbones.extractor.streaming import BatchSettings, Item, stream_clips
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.base.errors import SettingError, ShardError, SourceError
from features.base.machine import resolve_device, tool_versions
from features.base.parallel import BusyTime
from features.formats.tar_shard import SAMPLE_RATE_HZ
from features.recognition.recognizer import Recognition, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from features.backbones.audio.sound_windows import Window
    from features.backbones.extractor.streaming import Piece
    from features.formats.clip_data import Float32, Sound
    from features.recognition.recognition_config import AsrConfig

# Segments below this root mean square, -60 dB of full scale, are left out: a Whisper invents words for silence.
SILENCE_RMS = 1e-3
# Start, language, task and "no timestamps" precede the text and count as tokens.
PROMPT_TOKENS = 4


class SpeechRecognizer:
    """The spoken words of each clip, one segment of text for each segment of sound.

    Sound is cut every 30 seconds (what the model takes at once), so a word that is being spoken there may be
    lost or written twice. Segments that are silent (below -60 dB) or in which the model finds no word give no
    text. Decoding is greedy, in batches across clips that are filled up to ``batch_size`` with copies. A
    sample that is not finite makes the clip a problem.
    """

    def __init__(self, config: AsrConfig, whisper: Whisper, weights_sha256: str) -> None:
        self._whisper = whisper
        self._backbone = config.backbone
        # Cutting sound into segments needs no second thread: there is little to prepare.
        self._batches = BatchSettings(config.batch_size, workers=1)
        self._sizes = WindowSizes.of_seconds(whisper.segment_seconds, whisper.segment_seconds)
        # Part of the shards' first line: the words stay as they are, so that older rows are reused.
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": weights_sha256,
            "preprocessing": (
                f"mono 16 kHz in passages of {whisper.segment_seconds:g} s; those below a root mean square of "
                f"{SILENCE_RMS:g} left out; language {config.language or 'told by the model'}; greedy, at most "
                f"{config.max_new_tokens} tokens a passage"
            ),
            "runtime": f"torch float32 on {whisper.device}",
            "versions": tool_versions("transformers", "tokenizers", "torch"),
        }

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the text comes about, one line for each of the extractors' ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    @property
    def network_seconds(self) -> float:
        """Wall time in which the network ran since it was loaded."""
        return self._whisper.busy.seconds

    def recognize(self, clips: Iterable[Sound | None]) -> Iterator[Recognition]:
        """Yield the transcript of each clip, in order; some batches of segments are read ahead.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        for clip in stream_clips(clips, self._pieces, self._whisper, self._batches):
            if clip.problem:
                yield Recognition("", (), clip.problem)
                continue
            segments = tuple(Segment(span.start, span.end, text, None) for span, text in clip.results() if text)
            yield Recognition(" ".join(segment.text for segment in segments), segments)

    def _pieces(self, sound: Sound) -> Iterator[Piece[Span, str]]:
        check_sample_rate(sound, self._backbone)
        for window in windows(sound, self._sizes):
            level = float(np.sqrt(np.square(window.samples, dtype=np.float64).mean()))
            if not np.isfinite(level):
                raise ShardError(
                    f"sound has samples that are not finite, about {window.centre_seconds:.1f} s after its "
                    "start: decode the clip again"
                )
            if level >= SILENCE_RMS:
                yield partial(self._items, window, sound.start_seconds)

    def _items(self, window: Window, start_seconds: float) -> list[Item[Span]]:
        # Of one length, so that segments share batches; the model gets the samples of each alone.
        samples = np.pad(window.samples, (0, self._sizes.window - window.samples.size))
        start = start_seconds + window.start / SAMPLE_RATE_HZ
        return [Item((samples,), Span(start, window.samples.size))]


@dataclass(frozen=True)
class Span:
    """The place of a segment of sound in its clip.

    Attributes:
        start: Its start in the clip, in seconds.
        num_samples: Its length at 16 kHz.
    """

    start: float
    num_samples: int

    @property
    def end(self) -> float:
        """Its end in the clip, in seconds."""
        return self.start + self.num_samples / SAMPLE_RATE_HZ


def load_asr(config: AsrConfig) -> SpeechRecognizer:
    """Return the recognizer with the model's own feature extractor and tokenizer.

    Raises:
        SettingError: The model does not support the language, or cannot write so many tokens.
        SourceError: The model is missing, damaged or no Whisper.
    """
    if not config.backbone:
        raise SettingError("asr has no backbone: name one, such as transformers:openai/whisper-small")
    pretrained = Pretrained(config.backbone.partition(":")[2], config.revision)
    with quiet():
        extractor = pretrained.part(transformers.AutoFeatureExtractor.from_pretrained, "audio feature extractor")
        tokenizer = pretrained.part(transformers.AutoTokenizer.from_pretrained, "tokenizer")
        model, _ = pretrained.network(transformers.AutoModelForSpeechSeq2Seq.from_pretrained)
    if not isinstance(model, transformers.WhisperForConditionalGeneration):
        raise SourceError(f"model {pretrained.name!r} is a {type(model).__name__}: asr needs a Whisper")
    if not isinstance(extractor, transformers.WhisperFeatureExtractor):
        raise SourceError(
            f"model {pretrained.name!r} has a {type(extractor).__name__}: give a folder with the Whisper's own "
            "preprocessor_config.json"
        )
    return SpeechRecognizer(config, Whisper(config, model, extractor, tokenizer), pretrained.digest())


class Whisper:
    """The network with its feature extractor and tokenizer.

    Attributes:
        segment_seconds: How much sound it takes at once.
        device: Where it runs.
        busy: Wall time in which it ran.

    Raises:
        SettingError: It does not support the language, or cannot write so many tokens.
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
        self.busy = BusyTime()
        self.segment_seconds = float(extractor.chunk_length)

    # Results are there as soon as a batch was started.
    max_in_flight = 0

    def start(self, arrays: tuple[npt.NDArray[Any], ...], marks: Sequence[Span]) -> Callable[[], Sequence[str]]:
        """Transcribe a batch, and return the function that returns its texts."""
        (rows,) = arrays
        sounds = [row[: span.num_samples] for row, span in zip(rows, marks, strict=False)]
        with self.busy.running():
            texts = self.transcribe(sounds + [sounds[-1]] * (len(rows) - len(sounds)))
        return lambda: texts[: len(marks)]

    def transcribe(self, sounds: list[Float32]) -> list[str]:
        """Return the words in each ``(S,)`` segment of sound at 16 kHz, ``""`` where there are none."""
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


# Any: generation settings contain whatever a model's file has.
def _language_options(config: AsrConfig, generation: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the options of ``generate`` for language and task: none for a model of one language."""
    language = config.language.lower()
    code = TO_LANGUAGE_CODE.get(language, language)
    if not getattr(generation, "is_multilingual", False):
        if code not in {"", "en"}:
            raise SettingError(
                f"language {config.language!r}: {config.backbone} transcribes English only: its generation_config.json "
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
