"""Speech to text with a Whisper of transformers, in passages of 30 seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import transformers

from features.backbones.audio.logmel import SAMPLE_RATE_HZ
from features.backbones.audio.sound_windows import WindowSizes, check_sample_rate, windows
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.base.errors import SettingError, ShardError, SourceError
from features.base.versions import tool_versions
from features.recognition.recognizer import Recognition, Segment
from features.recognition.whisper import Whisper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.backbones.audio.sound_windows import Window
    from features.formats.clip_data import Sound
    from features.recognition.recognition_config import AsrConfig

# Passages below this root mean square, -60 dB of full scale, are not listened to: a Whisper invents words for
# silence.
SILENCE_RMS = 1e-3
# Clips that may wait for a batch to fill, in batches.
MAX_HELD_BATCHES = 16


class SpeechRecognizer:
    """The spoken words of each clip, one segment a passage.

    Sound is cut every 30 seconds (what the model takes at once), so a word that is being spoken there may be
    lost or written twice. Passages that are silent (below -60 dB) or in which the model finds no word give no
    segment. Decoding is greedy, in batches across clips that are filled up to ``batch_size`` with copies. A
    sample that is not finite makes the clip a problem.
    """

    def __init__(self, config: AsrConfig, whisper: Whisper, weights_sha256: str) -> None:
        self._whisper = whisper
        self._backbone = config.backbone
        self._batch_size = config.batch_size
        self._sizes = WindowSizes.of_seconds(whisper.passage_seconds, whisper.passage_seconds)
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": weights_sha256,
            "preprocessing": (
                f"mono 16 kHz in passages of {whisper.passage_seconds:g} s; those below a root mean square of "
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

    def recognize(self, clips: Iterable[Sound | None]) -> Iterator[Recognition]:
        """Yield what is said in each clip, in order; some batches of passages are read ahead.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        waiting: deque[_Clip] = deque()
        passages: list[_Passage] = []
        for sound in clips:
            clip = _Clip()
            waiting.append(clip)
            for passage in self._passages(sound, clip):
                passages.append(passage)
                if len(passages) == self._batch_size:
                    self._listen(passages)
            clip.ended = True
            if len(waiting) > MAX_HELD_BATCHES * self._batch_size:
                self._listen(passages)
            while waiting and waiting[0].is_finished():
                yield waiting.popleft().recognition()
        self._listen(passages)
        for clip in waiting:
            yield clip.recognition()

    def _passages(self, sound: Sound | None, clip: _Clip) -> Iterator[_Passage]:
        if sound is None:
            return
        check_sample_rate(sound, self._backbone)
        try:
            for window in windows(sound, self._sizes):
                level = float(np.sqrt(np.square(window.samples, dtype=np.float64).mean()))
                if not np.isfinite(level):
                    clip.problem = (
                        f"sound has samples that are not finite, about {window.centre_seconds:.1f} s after its "
                        "start: decode the clip again"
                    )
                    return
                if level >= SILENCE_RMS:
                    clip.num_open += 1
                    yield _Passage(clip, window, sound.start_seconds)
        except ShardError as error:
            clip.problem = str(error)

    def _listen(self, passages: list[_Passage]) -> None:
        """Write down what is said in the passages, and empty the list."""
        if passages:
            sounds = [passage.window.samples for passage in passages]
            sounds += [sounds[-1]] * (self._batch_size - len(sounds))
            for passage, text in zip(passages, self._whisper.texts(sounds), strict=False):
                passage.heard(text)
            passages.clear()


def load_asr(config: AsrConfig) -> SpeechRecognizer:
    """Return the recogniser with the model's own feature extractor and tokenizer.

    Raises:
        SettingError: The model does not know the language, or cannot write so many tokens.
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


@dataclass
class _Clip:
    """What is known of a clip so far.

    Attributes:
        segments: What was heard, in order.
        num_open: Passages that wait for the network.
        ended: Whether all of it was read.
        problem: Why it cannot be used.
    """

    segments: list[Segment] = field(default_factory=list)
    num_open: int = 0
    ended: bool = False
    problem: str = ""

    def is_finished(self) -> bool:
        return self.ended and not self.num_open

    def recognition(self) -> Recognition:
        if self.problem:
            return Recognition("", (), self.problem)
        return Recognition(" ".join(segment.text for segment in self.segments), tuple(self.segments))


@dataclass(frozen=True)
class _Passage:
    """A piece of a clip that is not silent."""

    clip: _Clip
    window: Window
    start_seconds: float

    def heard(self, text: str) -> None:
        self.clip.num_open -= 1
        if text:
            start = self.start_seconds + self.window.start / SAMPLE_RATE_HZ
            end = start + self.window.samples.size / SAMPLE_RATE_HZ
            self.clip.segments.append(Segment(start, end, text, None))
