"""From the steps of one modality to one vector a clip: a table ``name -> class``.

Each class is built as ``AGGREGATORS[name](input_dim, **sizes)``, where every size has a default, or by
``AGGREGATORS[name].from_config(input_dim, config)``; it is called as ``module(features, mask)`` with ``(B, T, D)``
floats and a ``(B, T)`` bool mask, and gives ``(B, module.output_dim)``. Padding has no influence, and a row
without a valid step gives a finite vector.

* Blind to the order of the steps (``order_aware`` is False): ``mean``, ``max``, ``attention`` (a weighted mean),
  ``nextvlad`` (residuals to cluster centres).
* Aware of it: ``trn`` (temporal relations, as published), ``trn_centred`` (relations of what changes, beside what
  stays), ``trn_x`` (the segments side by side, beside attention: the light one), ``bilstm``, ``textcnn``.
* ``nextvlad+trn_centred`` and ``textcnn+bilstm`` are two of these side by side.
"""

from __future__ import annotations

from models.aggregators.attention import GatedAttention
from models.aggregators.base import Aggregator, Max, Mean
from models.aggregators.bilstm import BiLstm
from models.aggregators.concatenated import NeXtVladCentred, TextCnnBiLstm
from models.aggregators.nextvlad import NeXtVlad
from models.aggregators.textcnn import TextCnn
from models.aggregators.trn import TemporalRelations
from models.aggregators.trn_centred import CentredTemporalRelations
from models.aggregators.trn_x import TemporalSegments

AGGREGATORS: dict[str, type[Aggregator]] = {
    "attention": GatedAttention,
    "bilstm": BiLstm,
    "max": Max,
    "mean": Mean,
    "nextvlad": NeXtVlad,
    "nextvlad+trn_centred": NeXtVladCentred,
    "textcnn": TextCnn,
    "textcnn+bilstm": TextCnnBiLstm,
    "trn": TemporalRelations,
    "trn_centred": CentredTemporalRelations,
    "trn_x": TemporalSegments,
}
