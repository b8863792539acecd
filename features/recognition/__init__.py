"""Text from the media of a clip: on-screen text from its frames (ocr), speech from its sound (asr).

A recognizer takes clips as an extractor does and gives text with times.
"""
