"""Heads of the tags: a table ``name -> class``.

Each class is built as ``TAG_HEADS[name](input_dim, num_tags, **sizes)``, where every size has a default and may be
given by a field of ``NetworkConfig``. A module is called as ``module(vector)`` with ``(B, D)`` floats
and gives ``(B, C)`` logits, each of a sigmoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.lazy_table import LazyTable

if TYPE_CHECKING:
    from models.tag_heads.base import TagHead

# The classes are named, not imported: settings check against this table without loading torch.
TAG_HEADS: LazyTable[type[TagHead]] = LazyTable(
    {
        "linear": "models.tag_heads.base:LinearTags",
        "moe": "models.tag_heads.mixture:MixtureTags",
    }
)
