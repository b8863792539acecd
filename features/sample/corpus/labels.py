"""The categories and tags of the sample corpus, and which modality each can be known from.

| label | known from |
|---|---|
| category | the scene that is seen x the sound that is heard; a title names one, both or neither |
| pan left, pan right, fade in, fade out | the order of the frames: either of a pair shows the same frames |
| rising tone, falling tone | the order of the sound |
| beeping | the sound |
| night, red balloon | any frame |
| tutorial, for sale | the title |
| presenter | the cover |
"""

from __future__ import annotations

SCENES = ("harbour", "city", "forest")
SOUNDS = ("music", "motor", "birdsong")
MOVES = ("pan left", "pan right", "fade in", "fade out", "still")
TONES = ("rising tone", "falling tone", "", "")

CATEGORIES = {
    ("harbour", "music"): "seaside concert",
    ("harbour", "motor"): "boat trip",
    ("harbour", "birdsong"): "coastal birds",
    ("city", "music"): "street music",
    ("city", "motor"): "traffic",
    ("city", "birdsong"): "city garden",
    ("forest", "music"): "campfire evening",
    ("forest", "motor"): "timber work",
    ("forest", "birdsong"): "woodland walk",
}

TAGS = (
    "pan left",
    "pan right",
    "fade in",
    "fade out",
    "rising tone",
    "falling tone",
    "beeping",
    "night",
    "red balloon",
    "tutorial",
    "for sale",
    "presenter",
)
