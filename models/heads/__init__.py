"""From the embedding of a clip to its category and tags: a table ``name -> class``.

Each class is built as ``HEADS[name](input_dim, num_categories, num_tags, **sizes)``, where every size has a default,
or by ``HEADS[name].from_config(input_dim, num_categories, num_tags, config)``; it is called as ``module(embedding)``
with ``(B, E)`` floats and gives ``models.heads.logits.HeadOutputs``. 0 categories or 0 tags leave that answer out.
"""

from __future__ import annotations

from models.heads.base import Heads, Independent
from models.heads.cascade import Cascade
from models.heads.hierarchical import Hierarchical

HEADS: dict[str, type[Heads]] = {
    "cascade": Cascade,
    "hierarchical": Hierarchical,
    "independent": Independent,
}
