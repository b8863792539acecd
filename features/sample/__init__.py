"""The embedded sample corpus: short illustrated clips with sound, cover and title, made on this machine.

`plan` decides what every clip is, `titles`, `worlds`, `filming` and `sound` make its parts, `encode` runs
ffmpeg, and `render` writes the folder. What each label can be known from stands in `labels`.
"""
