"""Names of the files in the folder of a checkpoint. Imports no torch."""

WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
CALIBRATION_NAME = "calibration.json"
HISTORY_NAME = "history.jsonl"
RESUME_NAME = "resume.pt"
EVENTS_NAME = "tensorboard"
STRUCTURE_JSON_NAME = "network.json"
STRUCTURE_MARKDOWN_NAME = "network.md"
STRUCTURE_PICTURE_NAME = "network.svg"

# The checkpoint itself, without its calibration.
CHECKPOINT_NAMES = (DESCRIPTION_NAME, WEIGHTS_NAME)
# Descriptions of the network for a reader; no later stage depends on them.
STRUCTURE_NAMES = (STRUCTURE_JSON_NAME, STRUCTURE_MARKDOWN_NAME, STRUCTURE_PICTURE_NAME)
