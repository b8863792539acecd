from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.aggregators.bilstm import BiLstm, has_bfloat16_lstm
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


@pytest.mark.parametrize("there", [True, False])
def test_bilstm_needs_no_lstm_in_bfloat16(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("models.aggregators.bilstm.has_bfloat16_lstm", lambda _kind: there)
    if there and not has_bfloat16_lstm("cpu"):
        pytest.skip("torch has no LSTM in bfloat16 on this processor")
    module = BiLstm(5, width=4)
    seen: list[torch.dtype] = []
    for lstm in (module.forwards, module.backwards):
        lstm.register_forward_hook(lambda _module, _arguments, output: seen.append(output[0].dtype))

    with torch.autocast("cpu", torch.bfloat16):
        output = module(features(), MASK)
    output.float().sum().backward()

    assert seen == [torch.bfloat16 if there else torch.float32] * 2
    # Eight bits of precision, whichever way.
    torch.testing.assert_close(output.float(), module(features(), MASK), rtol=0, atol=0.05)
    assert all(parameter.grad is not None for parameter in module.parameters())


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


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_trying_an_lstm_in_bfloat16_leaves_the_seed_alone(mode: type[torch.no_grad]) -> None:
    has_bfloat16_lstm.cache_clear()
    torch.manual_seed(3)
    with mode():
        found = has_bfloat16_lstm("cpu")
    drawn = torch.rand(4)

    torch.manual_seed(3)
    torch.testing.assert_close(drawn, torch.rand(4), rtol=0, atol=0)
    has_bfloat16_lstm.cache_clear()
    assert has_bfloat16_lstm("cpu") == found


def test_a_processor_with_avx2_alone_trains_a_bilstm_in_bfloat16() -> None:
    code = (
        "import torch\n"
        "from models.aggregators.bilstm import BiLstm\n"
        "from models.aggregators.bilstm import has_bfloat16_lstm\n"
        "module = BiLstm(5, width=4)\n"
        "with torch.autocast('cpu', torch.bfloat16):\n"
        "    output = module(torch.zeros(2, 3, 5), torch.ones(2, 3, dtype=torch.bool))\n"
        "output.float().sum().backward()\n"
        "print(has_bfloat16_lstm('cpu'))\n"
    )
    # oneDNN uses no instructions beyond AVX2, as on such a processor.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
