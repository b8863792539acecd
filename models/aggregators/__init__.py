"""From the steps of one modality to one vector a clip: a table `name -> class`.

Each class is built as `AGGREGATORS[name](input_dim, **sizes)`, where every size has a default, or by
`AGGREGATORS[name].from_config(input_dim, config)`; it is called as `module(features, mask)` with `(B, T, D)`
floats and a `(B, T)` bool mask, and gives `(B, module.output_dim)`. Padding has no influence, and a row
without a valid step gives a finite vector.
"""

from models.aggregators.base import Aggregator
from models.aggregators.bilstm import BiLstm
from models.aggregators.joined import NeXtVladTrn, TextCnnBiLstm
from models.aggregators.mean import Mean
from models.aggregators.nextvlad import NeXtVlad
from models.aggregators.textcnn import TextCnn
from models.aggregators.trn import TemporalRelations

AGGREGATORS: dict[str, type[Aggregator]] = {
    "bilstm": BiLstm,
    "mean": Mean,
    "nextvlad": NeXtVlad,
    "nextvlad+trn": NeXtVladTrn,
    "textcnn": TextCnn,
    "textcnn+bilstm": TextCnnBiLstm,
    "trn": TemporalRelations,
}
