"""From one vector a modality to one vector a clip: a table ``name -> class``.

Each class is built as ``FUSIONS[name](input_dims, **sizes)``, where every size has a default and may be given by a
field of ``NetworkConfig``. A module is called as ``module(vectors, present)`` with a list of
``(B, D_m)`` in the order of ``input_dims`` and a ``(B, M)`` bool, and gives ``(B, module.output_dim)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.lazy_table import LazyTable

if TYPE_CHECKING:
    from models.fusion.base import Fusion

# The classes are named, not imported: settings check against this table without loading torch.
FUSIONS: LazyTable[type[Fusion]] = LazyTable(
    {
        "concat": "models.fusion.base:Concat",
        "gate_fusion": "models.fusion.gate_fusion:GateFusion",
        "low_rank": "models.fusion.low_rank:LowRank",
        "se_gate": "models.fusion.se_gate:SeGate",
    }
)
