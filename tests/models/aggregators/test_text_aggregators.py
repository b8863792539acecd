from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.aggregators.bilstm import BiLstm
from models.aggregators.textcnn import TextCnn

LENGTHS = torch.tensor([7, 1, 4])
MASK = torch.arange(7) < LENGTHS.unsqueeze(1)


def features() -> torch.Tensor:
    return torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))


def test_textcnn_equals_convolutions() -> None:
    module = TextCnn(5, num_channels=3, window_widths=(2, 5))
    output = module(features(), MASK)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = []
        for width, filters in zip((2, 5), module.filters, strict=True):
            assert isinstance(filters, nn.Linear)
            text = torch.cat([features()[row, :length], torch.zeros(width - 1, 5)])
            kernel = filters.weight.view(3, width, 5).transpose(1, 2)
            responses = nn.functional.conv1d(text.t().unsqueeze(0), kernel, filters.bias)
            expected.append(responses[0].relu().amax(dim=1))
        torch.testing.assert_close(output[row], torch.cat(expected))


def test_bilstm_equals_a_packed_bidirectional_lstm() -> None:
    module = BiLstm(5, width=4)
    packed = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    weights = dict(module.forwards.named_parameters())
    weights.update({f"{name}_reverse": weight for name, weight in module.backwards.named_parameters()})
    packed.load_state_dict(weights)
    sequence = pack_padded_sequence(features(), LENGTHS, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(packed(sequence)[0], batch_first=True)
    output = module(features(), MASK)
    for row, length in enumerate(LENGTHS.tolist()):
        valid = states[row, :length]
        attention = torch.softmax(module.attend(valid.tanh()).squeeze(-1), dim=0)
        torch.testing.assert_close(output[row], attention @ valid)
