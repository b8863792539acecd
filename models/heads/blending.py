"""The mean of two answers' probabilities, as logits.

Everything is computed in logarithms, so that no probability rounds to 0 or 1 and every gradient is finite.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.heads.logits import Answers


def blend_answers(first: Answers, second: Answers) -> Answers:
    """Logits whose softmax or sigmoid is half that of `first` and half that of `second`.

    Args:
        first: Answers about B clips.
        second: Answers about the same clips, with the same heads.
    """
    return Answers(
        category_logits=_blend(blend_softmax, first.category_logits, second.category_logits),
        tag_logits=_blend(blend_sigmoid, first.tag_logits, second.tag_logits),
    )


def blend_softmax(first: Tensor, second: Tensor) -> Tensor:
    """`(B, K)` logarithms of the mean of two softmaxes, from their logits `(B, K)`."""
    log_sum = torch.logaddexp(functional.log_softmax(first, dim=1), functional.log_softmax(second, dim=1))
    return log_sum - math.log(2)


def blend_sigmoid(first: Tensor, second: Tensor) -> Tensor:
    """`(B, C)` logits of the mean of two sigmoids, from their logits `(B, C)`."""
    log_yes = torch.logaddexp(functional.logsigmoid(first), functional.logsigmoid(second))
    log_no = torch.logaddexp(functional.logsigmoid(-first), functional.logsigmoid(-second))
    # Both lack the same log 2.
    return log_yes - log_no


def _blend(blend: Callable[[Tensor, Tensor], Tensor], first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else blend(first, second)
