"""From the embedding of a clip to its category and tags: a table ``name -> class``.

Each class is built as ``HEADS[name](input_dim, num_categories, num_tags, make_tag_head=..., **sizes)``, where every
size has a default and may be given by a field of ``NetworkConfig``. A module is called as ``module(embedding)`` with
``(B, E)`` floats and returns ``models.heads.logits.HeadOutputs``. 0 categories or 0 tags leave that head out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.lazy_table import LazyTable

if TYPE_CHECKING:
    from models.heads.base import Heads

# The classes are named, not imported: settings check against this table without loading torch.
HEADS: LazyTable[type[Heads]] = LazyTable(
    {
        "cascade": "models.heads.cascade:Cascade",
        "hierarchical": "models.heads.hierarchical:Hierarchical",
        "independent": "models.heads.base:Independent",
    }
)
