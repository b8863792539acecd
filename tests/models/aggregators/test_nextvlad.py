from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.aggregators.nextvlad import NeXtVlad

Float64 = npt.NDArray[np.float64]


def numpy_of(tensor: torch.Tensor) -> Float64:
    return tensor.detach().double().numpy()


def sigmoid(x: Float64) -> Float64:
    return 1 / (1 + np.exp(-x))


def transcription(module: NeXtVlad, clip: Float64) -> Float64:
    """Equations 2 to 4 of arXiv 1811.05014 by loops, for one clip ``(M, N)``, with the assignment's batch norm."""
    num_groups, num_clusters = module.num_groups, module.num_clusters
    expanded = clip @ numpy_of(module.expand.weight).T + numpy_of(module.expand.bias)
    attention = sigmoid(expanded @ numpy_of(module.attend.weight).T + numpy_of(module.attend.bias))
    norm = module.assign_norm
    logits = expanded @ numpy_of(module.assign.weight).T
    mean, variance = numpy_of(norm.get_buffer("running_mean")), numpy_of(norm.get_buffer("running_var"))
    logits = (logits - mean) / np.sqrt(variance + norm.eps)
    logits = logits * numpy_of(norm.weight) + numpy_of(norm.bias)
    centers = numpy_of(module.centers)
    descriptor = np.zeros((num_clusters, module.group_width))
    for i in range(len(clip)):
        for g in range(num_groups):
            group = expanded[i, g * module.group_width : (g + 1) * module.group_width]
            of_group = np.exp(logits[i, g * num_clusters : (g + 1) * num_clusters])
            for k in range(num_clusters):
                alpha = attention[i, g] * of_group[k] / of_group.sum()
                descriptor[k] += alpha * (group - centers[k])
    flat: Float64 = (descriptor / np.linalg.norm(descriptor, axis=1, keepdims=True)).ravel()
    return flat


@pytest.mark.parametrize(("num_clusters", "num_groups", "expansion"), [(3, 2, 2), (5, 4, 1), (1, 1, 3)])
def test_descriptor_equals_the_paper(num_clusters: int, num_groups: int, expansion: int) -> None:
    generator = torch.Generator().manual_seed(num_clusters)
    module = NeXtVlad(8, num_clusters=num_clusters, num_groups=num_groups, expansion=expansion).eval()
    module.assign_norm.get_buffer("running_mean").normal_(generator=generator)
    module.assign_norm.get_buffer("running_var").uniform_(0.5, 2, generator=generator)
    torch.nn.init.normal_(module.assign_norm.weight, generator=generator)
    torch.nn.init.normal_(module.assign_norm.bias, generator=generator)
    features = torch.randn(2, 6, 8, generator=generator)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    descriptor = module.compute_descriptor(features, mask)
    for row, length in ((0, 6), (1, 4)):
        expected = transcription(module, numpy_of(features[row, :length]))
        # float32 against float64
        np.testing.assert_allclose(numpy_of(descriptor[row]), expected, rtol=1e-4, atol=1e-5)


def test_parameter_count_is_the_papers() -> None:
    width, groups, clusters, hidden, expansion = 1024, 8, 128, 2048, 2
    with torch.device("meta"):
        module = NeXtVlad(width, num_clusters=clusters, num_groups=groups, expansion=expansion, output_width=hidden)
    expanded = expansion * width
    # lambda N (N + G + K (G + (H + 1) / G)), kept in whole numbers.
    papers = expanded * (width + groups + clusters * groups) + clusters * expanded // groups * (hidden + 1)
    assert round(papers / 1e6, 2) == 71.35
    biases = expanded + groups
    norms = 2 * (groups * clusters + clusters * expanded // groups + hidden)
    assert sum(parameter.numel() for parameter in module.parameters()) == papers + biases + norms


def test_permuting_the_groups_changes_nothing() -> None:
    module = NeXtVlad(6, num_clusters=3, num_groups=3, expansion=2).eval()
    permuted = NeXtVlad(6, num_clusters=3, num_groups=3, expansion=2).eval()
    permuted.load_state_dict(module.state_dict())
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        expand = module.expand.weight.view(3, 4, 6)[order].reshape(12, 6)
        permuted.expand.weight.copy_(expand)
        permuted.expand.bias.copy_(module.expand.bias.view(3, 4)[order].reshape(12))
        attend = module.attend.weight.view(3, 3, 4)[order][:, order].reshape(3, 12)
        permuted.attend.weight.copy_(attend)
        permuted.attend.bias.copy_(module.attend.bias[order])
        assign = module.assign.weight.view(3, 3, 3, 4)[order][:, :, order].reshape(9, 12)
        permuted.assign.weight.copy_(assign)
    features = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(permuted(features, mask), module(features, mask))


def large_batch() -> tuple[NeXtVlad, torch.Tensor, torch.Tensor]:
    """Enough clips that the products are computed as in a training run of full size."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = NeXtVlad(256, num_clusters=16, num_groups=4, expansion=2, output_width=64)
        features = torch.randn(16, 16, 256)
    return module, features, torch.arange(16) < torch.arange(1, 17).unsqueeze(1)


def test_padding_has_no_influence_on_a_large_batch() -> None:
    module, features, mask = large_batch()
    other, _, _ = large_batch()
    padded = torch.cat([features, torch.full((16, 50, 256), torch.nan)], dim=1)
    padded_mask = torch.cat([mask, mask.new_zeros(16, 50)], dim=1)
    torch.testing.assert_close(other(padded, padded_mask), module(features, mask), rtol=0, atol=1e-5)
    for buffer, expected in zip(other.buffers(), module.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=0, atol=1e-5)


def test_large_batch_equals_its_clips_one_by_one() -> None:
    module, features, mask = large_batch()
    module.eval()
    together = module(features, mask)
    for row in (0, 7, 15):
        alone = module(features[row : row + 1, : row + 1], torch.ones(1, row + 1, dtype=torch.bool))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_a_large_batch_gives_the_same_bits_twice() -> None:
    results = []
    for _ in range(2):
        module, features, mask = large_batch()
        output = module(features, mask)
        output.square().sum().backward()
        results.append([output, *(parameter.grad for parameter in module.parameters()), *module.buffers()])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


def test_order_of_the_steps_changes_nothing() -> None:
    module, features, mask = large_batch()
    module.eval()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module(features[:, order], mask[:, order]), module(features, mask), rtol=0, atol=1e-5)


def test_width_that_does_not_split_into_groups_is_rounded_up() -> None:
    module = NeXtVlad(5, num_groups=4, expansion=1)
    assert module.group_width == 2
    assert module(torch.zeros(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)).shape == (2, 128)
