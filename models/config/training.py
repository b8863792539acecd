"""Every setting of a training run, checked when it is made. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import (
    at_least,
    check_device,
    check_fraction_below_one,
    check_positive,
    check_settings,
    one_of,
    setting,
)
from models.losses import CATEGORY_LOSSES, TAG_LOSSES
from models.metrics import METRICS

# Validation metrics that can select the epoch; ``map`` is the mean of category and tag mAP.
SELECTION_METRICS = ("map", "loss", *(metric.selection_name for metric in METRICS if metric.selection_name))

# Decays of the learning rate after the warm-up.
SCHEDULES = ("cosine", "exponential")

# Adversarial perturbations of the embeddings.
ADVERSARIAL = ("none", "fgm", "pgd")

# Number formats of the forward pass; weights, losses and the optimizer stay in float32.
PRECISIONS = ("float32", "bfloat16")


def _check_final_rate(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise SettingError(f"{name} is {value}: give above 0 and at most 1")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        epochs: Most passes over the training clips; at least 1.
        batch_size: Clips in one update, over all processes; at least 1. A batch norm has no statistics of
            one-clip batches.
        learning_rate: Highest learning rate, reached at the end of the warm-up; above 0.
        frames_rate: Factor of the learning rate of the encoders of pictures: frames, motion, cover. At least 0,
            as the next three.
        audio_rate: Factor of the learning rate of the encoder of sound.
        text_rate: Factor of the learning rate of the encoder of text.
        head_rate: Factor of the learning rate of fusion and heads.
        schedule: How the learning rate falls after the warm-up: ``cosine`` (a half cosine to 0) or ``exponential``
            (by the same factor in every update).
        final_rate_fraction: Fraction of the highest learning rate that ``exponential`` ends at; above 0, at most 1.
        weight_decay: AdamW's decoupled decay of weight matrices; biases, norms and learned vectors have
            none. At least 0.
        warmup_fraction: Fraction of all updates in which the learning rate rises linearly, 0 to below 1.
        gradient_clip: Largest norm of the whole gradient; 0 turns the clipping off.
        ema_decay: Decay per update of the running mean of the weights that is validated and saved; 0 turns
            it off. Below 1.
        label_smoothing: Probability mass of a category label that is spread over all categories, 0 to
            below 1.
        category_weight: Factor of the category loss; at least 0.
        category_loss: ``cross_entropy`` or ``focal``.
        tag_weight: Factor of the tag loss (a mean over tags, hence small); at least 0.
        tag_loss: ``binary_cross_entropy``, ``focal`` or ``asymmetric``.
        focal_gamma: Exponent of the focal losses; at least 0, and 0 is no focusing.
        asymmetric_positive: Exponent of the asymmetric loss for tags that a clip has; at least 0.
        asymmetric_negative: Exponent of the asymmetric loss for tags that a clip lacks; at least 0.
        asymmetric_margin: Probability below which a tag that a clip lacks costs nothing in the asymmetric
            loss; 0 to below 1.
        class_weight_power: Damping of class weights: a category weighs (1 / its fraction)^power, and a tag's
            positives (negatives / positives)^power; 0 = all the same, 1 = balanced.
        flood_level: Lower bound b of the loss by flooding, |loss - b| + b; 0 turns the flooding off.
        auxiliary_weight: Factor of the losses of the modalities' own heads; at least 0.
        distillation_weight: Factor of the losses of a mixture's experts, distillation included; at least 0.
        distillation_temperature: Temperature of the distillation; above 0.
        adversarial: ``none``, ``fgm`` (one step along the gradient) or ``pgd`` (several small ones): a second loss
            on embeddings that are perturbed where the loss grows.
        adversarial_weight: Factor of the loss of the perturbed embeddings; above 0.
        adversarial_steps: Iterations of ``pgd``; at least 1.
        adversarial_frames: Length of the perturbation of a clip's standardised frames, over all steps and units
            together; 0 perturbs none. At least 0, as the next four.
        adversarial_motion: The same for motion windows.
        adversarial_audio: The same for audio windows.
        adversarial_text: The same for text tokens.
        adversarial_cover: The same for the cover.
        selection_metric: Validation metric that selects the epoch to keep: ``map`` (mean of category and tag
            mean average precision), ``loss``, or one metric, such as ``category_accuracy``; docs/training.md lists
            them.
        patience_epochs: Epochs without a better validation result after which training ends; 0 never ends
            early.
        calibrate: Whether temperatures, thresholds of the tags and the scaling of rare categories are fitted
            on the validation clips; otherwise probabilities are not corrected, and a tag is given from 0.5 on.
        precision: ``float32``, or ``bfloat16`` for the forward pass (torch's autocast): faster on GPUs and on CPUs
            with AMX or AVX512-BF16.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        num_processes: Processes that share each batch, one for each GPU if there are GPUs; 0 = one for each GPU. The
            result is the same up to rounding and the random numbers of dropout and random steps.
        cache_megabytes: Memory of each process for clips that were read once, in MB (10^6 bytes); 0 reads them
            again in every epoch. It changes no result.
        num_threads: CPU threads of torch; 0 leaves torch's own number. A small network
            is hardly faster with two than with one, and many times slower when the threads must wait for a
            busy core. Sums are split by thread, so the last bits of a result depend on it.
        tensorboard: Whether event files for TensorBoard are written beside the checkpoint.
        seed: Seed of the weights, the order of the clips and the dropout; at least 0.
    """

    epochs: int = setting(60, check=at_least(1))
    batch_size: int = setting(32, check=at_least(1))
    learning_rate: float = setting(1e-3, check=check_positive)
    frames_rate: float = setting(1.0, check=at_least(0))
    audio_rate: float = setting(1.0, check=at_least(0))
    text_rate: float = setting(1.0, check=at_least(0))
    head_rate: float = setting(1.0, check=at_least(0))
    schedule: str = setting("cosine", check=one_of(SCHEDULES))
    final_rate_fraction: float = setting(0.01, check=_check_final_rate)
    weight_decay: float = setting(0.05, check=at_least(0))
    warmup_fraction: float = setting(0.1, check=check_fraction_below_one)
    gradient_clip: float = setting(1.0, check=at_least(0))
    ema_decay: float = setting(0.97, check=check_fraction_below_one)
    label_smoothing: float = setting(0.1, check=check_fraction_below_one)
    category_weight: float = setting(1.0, check=at_least(0))
    category_loss: str = setting("cross_entropy", check=one_of(CATEGORY_LOSSES))
    tag_weight: float = setting(5.0, check=at_least(0))
    tag_loss: str = setting("binary_cross_entropy", check=one_of(TAG_LOSSES))
    focal_gamma: float = setting(2.0, check=at_least(0))
    asymmetric_positive: float = setting(0.0, check=at_least(0))
    asymmetric_negative: float = setting(4.0, check=at_least(0))
    asymmetric_margin: float = setting(0.05, check=check_fraction_below_one)
    class_weight_power: float = setting(0.0, check=at_least(0))
    flood_level: float = setting(0.0, check=at_least(0))
    auxiliary_weight: float = setting(0.3, check=at_least(0))
    distillation_weight: float = setting(1.0, check=at_least(0))
    distillation_temperature: float = setting(3.0, check=check_positive)
    adversarial: str = setting("none", check=one_of(ADVERSARIAL))
    adversarial_weight: float = setting(1.0, check=check_positive)
    adversarial_steps: int = setting(3, check=at_least(1))
    adversarial_frames: float = setting(5.0, check=at_least(0))
    adversarial_motion: float = setting(5.0, check=at_least(0))
    adversarial_audio: float = setting(5.0, check=at_least(0))
    adversarial_text: float = setting(5.0, check=at_least(0))
    adversarial_cover: float = setting(2.0, check=at_least(0))
    selection_metric: str = setting("map", check=one_of(SELECTION_METRICS))
    patience_epochs: int = setting(20, check=at_least(0))
    calibrate: bool = True
    precision: str = setting("float32", check=one_of(PRECISIONS))
    device: str = setting("auto", identity=False, check=check_device)
    num_processes: int = setting(1, identity=False, check=at_least(0))
    cache_megabytes: int = setting(2000, identity=False, check=at_least(0))
    num_threads: int = setting(1, from_preset=False, check=at_least(0))
    tensorboard: bool = setting(True, identity=False)
    seed: int = setting(0, from_preset=False, check=at_least(0))

    def __post_init__(self) -> None:
        check_settings(self)
