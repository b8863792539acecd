"""From the steps of one modality to one vector a clip: a table ``name -> class``.

Each class is built as ``AGGREGATORS[name](input_dim, **sizes)``, where every size has a default and may be given by a
field of ``NetworkConfig``. A module is called as ``module(features, mask)`` with ``(B, T, D)`` floats and a ``(B, T)``
bool mask, and returns ``(B, module.output_dim)``. Padding has no influence, and a row
without a valid step gives a finite vector.

* Blind to the order of the steps (``order_aware`` is False): ``mean``, ``max``, ``attention`` (a weighted mean),
  ``nextvlad`` (residuals to cluster centres).
* Aware of it: ``trn`` (temporal relations, as published), ``trn_centred`` (relations of what changes, beside what
  stays), ``trn_x`` (the segments side by side, beside attention: the light one), ``bilstm``, ``textcnn``.
* ``nextvlad+trn_centred`` and ``textcnn+bilstm`` are two of these side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.lazy_table import LazyTable

if TYPE_CHECKING:
    from models.aggregators.base import Aggregator

# The classes are named, not imported: settings check against this table without loading torch.
AGGREGATORS: LazyTable[type[Aggregator]] = LazyTable(
    {
        "attention": "models.aggregators.pooling:GatedAttention",
        "bilstm": "models.aggregators.bilstm:BiLstm",
        "max": "models.aggregators.pooling:Max",
        "mean": "models.aggregators.pooling:Mean",
        "nextvlad": "models.aggregators.nextvlad:NeXtVlad",
        "nextvlad+trn_centred": "models.aggregators.concatenated:NeXtVladCentred",
        "textcnn": "models.aggregators.textcnn:TextCnn",
        "textcnn+bilstm": "models.aggregators.concatenated:TextCnnBiLstm",
        "trn": "models.aggregators.trn:TemporalRelations",
        "trn_centred": "models.aggregators.trn_centred:CentredTemporalRelations",
        "trn_x": "models.aggregators.trn_x:TemporalSegments",
    }
)
