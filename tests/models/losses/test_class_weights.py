"""Weights of rare classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from models.losses.class_weights import class_weights
from tests.models.synthetic import make_labels

if TYPE_CHECKING:
    from models.data.labels import Labels

TRAIN = np.arange(8)


def some_labels() -> Labels:
    """Ten clips, of which the last two are no training clips."""
    tags = np.zeros((10, 4), bool)
    tags[:2, 0] = True  # 2 of the 6 clips whose tags are known
    tags[6:, 1] = True  # only where tags are not known, or not in training
    tags[:, 2] = True
    tags[:3, 3] = True
    known = np.array([True] * 6 + [False] * 2 + [True] * 2)
    return make_labels(np.array([0, 0, 0, 0, 1, 2, 2, -1, 3, 3]), tags, num_categories=4, tags_known=known)


def test_power_1_is_scikit_learns_balance() -> None:
    labels = some_labels()
    weights = class_weights(labels, TRAIN, 1.0)
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels.category[:7])
    np.testing.assert_allclose(weights.category[:3], balanced, rtol=1e-6)
    assert weights.category[3] == 1  # no training clip has it


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0, 2.0])
def test_labelled_training_clips_weigh_1_on_average(power: float) -> None:
    labels = some_labels()
    weights = class_weights(labels, TRAIN, power)
    assert weights.category[labels.category[:7]].mean() == pytest.approx(1.0)
    # The third category is half as frequent as the first.
    assert weights.category[2] / weights.category[0] == pytest.approx(2**power)


def test_tags_by_hand() -> None:
    weights = class_weights(some_labels(), TRAIN, 0.5)
    # 4 negatives to 2 positives; none positive; none negative; 3 to 3.
    torch.testing.assert_close(weights.tag_positive, torch.tensor([2**0.5, 1.0, 1.0, 1.0]))
    assert class_weights(some_labels(), TRAIN, 2.0).tag_positive[0] == 4


def test_power_0_and_no_labels_weigh_all_the_same() -> None:
    unknown = make_labels(np.full(3, -1), np.zeros((3, 2), bool), num_categories=2, tags_known=np.zeros(3, bool))
    for weights in (class_weights(some_labels(), TRAIN, 0.0), class_weights(unknown, np.arange(3), 1.0)):
        assert (weights.category == 1).all()
        assert (weights.tag_positive == 1).all()
        assert weights.category.dtype == weights.tag_positive.dtype == torch.float32


def test_weights_of_no_tag() -> None:
    labels = make_labels(np.array([0, 1]), np.zeros((2, 0), bool), num_categories=2)
    assert class_weights(labels, np.arange(2), 1.0).tag_positive.shape == (0,)
