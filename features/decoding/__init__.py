"""From a file of a stranger to sampled frames and sound: ffmpeg, its commands, and what its result is worth."""
