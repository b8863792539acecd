"""Names of the files in the folder of a checkpoint. Imports no torch."""

from __future__ import annotations

WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
CALIBRATION_NAME = "calibration.json"
HISTORY_NAME = "history.jsonl"
RESUME_NAME = "resume.pt"
EVENTS_NAME = "tensorboard"
# What a checkpoint scores by, beside its calibration.
CHECKPOINT_NAMES = (DESCRIPTION_NAME, WEIGHTS_NAME)
