"""On which clips networks are scored, and what a reader must know about that."""

FITTED_ON = "validation"
"""The split whose clips choose the epoch and fit temperatures, thresholds and the lift of rare categories."""

HELD_OUT_FOLDS = (
    "Each fold is scored by the network that was not trained on it. Its clips chose the epoch of that network all the "
    "same, which makes the scores somewhat too good. Nothing is calibrated: temperatures and thresholds would be "
    "fitted to the very clips that are scored. So a tag is given from 0.5 on."
)
"""What the scores of a cross-validation are."""

_ABOUT = {
    "validation": (
        "Scored on the validation split. Its clips also choose the epoch of each network and the regularisation of "
        "logistic regression, which makes the scores somewhat too good. Nothing is calibrated: temperatures and "
        "thresholds would be fitted to the very clips that are scored. So a tag is given from 0.5 on."
    ),
    "test": (
        "Scored on the test split, which chose and fitted nothing; temperatures and thresholds, where there are any, "
        "were fitted on the validation split."
    ),
    "train": "Scored on the train split, from which everything was learned: scores of what is remembered.",
}


def is_calibrated(split: str) -> bool:
    """Whether scores of a split are calibrated: not where the calibration was fitted to the same clips."""
    return split != FITTED_ON


def about_split(split: str) -> str:
    """What the scores of a split are, in sentences; nothing of a split that is not told."""
    return _ABOUT.get(split, "")
