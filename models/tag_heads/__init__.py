"""What gives the logits of the tags: a table ``name -> class``.

Each class is built as ``TAG_HEADS[name](input_dim, num_tags, **sizes)``, where every size has a default, or by
``TAG_HEADS[name].from_config(input_dim, num_tags, config)``; it is called as ``module(vector)`` with ``(B, D)`` floats
and gives ``(B, C)`` logits, each of a sigmoid.
"""

from __future__ import annotations

from models.tag_heads.base import LinearTags, TagHead
from models.tag_heads.mixture import MixtureTags

TAG_HEADS: dict[str, type[TagHead]] = {"linear": LinearTags, "moe": MixtureTags}
