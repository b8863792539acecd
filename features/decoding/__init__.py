"""Decodes untrusted media files into sampled frames and sound: ffmpeg, its commands, and the checks of its results."""
