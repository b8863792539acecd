"""The embedded sample corpus: short illustrated clips with sound, cover and title, made on this machine.

``plan`` chooses labels and content of every clip; ``titles``, ``worlds``, ``painter``, ``filming`` and ``sound``
make its parts; ``render`` runs ffmpeg and writes the folder.
"""
