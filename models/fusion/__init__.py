"""From one vector a modality to one vector a clip: a table ``name -> class``.

Each class is built as ``FUSIONS[name](input_dims, **sizes)``, where every size has a default, or by
``FUSIONS[name].from_config(input_dims, config)``; it is called as ``module(vectors, present)`` with a list of
``(B, D_m)`` in the order of ``input_dims`` and a ``(B, M)`` bool, and gives ``(B, module.output_dim)``.
"""

from __future__ import annotations

from models.fusion.base import Concat, Fusion
from models.fusion.gate_fusion import GateFusion
from models.fusion.low_rank import LowRank
from models.fusion.se_gate import SeGate

FUSIONS: dict[str, type[Fusion]] = {
    "concat": Concat,
    "gate_fusion": GateFusion,
    "low_rank": LowRank,
    "se_gate": SeGate,
}
