from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from features.base.errors import DataError
from models.aggregators import AGGREGATORS
from models.config.training import TrainConfig
from models.data.batching import Batch, BatchLabels, iterate_batches
from models.fusion import FUSIONS
from models.heads import HEADS
from models.losses.total_loss import total_loss
from models.network.network import VideoNetwork
from tests.models.synthetic import SMALL_NETWORK, random_source

if TYPE_CHECKING:
    from models.config.network import NetworkConfig

DIMS = {"frames": 10, "motion": 6, "audio": 7, "text": 9, "cover": 10}


def one_batch(num_clips: int = 8, missing: float = 0.3, config: NetworkConfig = SMALL_NETWORK) -> Batch:
    source = random_source(num_clips, DIMS, missing=missing)
    return next(iterate_batches(source, np.arange(num_clips), config, num_clips))


def without(batch: Batch, name: str, fill: float) -> Batch:
    """The batch in which no clip has the modality; ``fill`` stands under its mask."""
    return Batch(
        {**batch.features, name: torch.full_like(batch.features[name], fill)},
        {**batch.masks, name: torch.zeros_like(batch.masks[name])},
        None,
    )


@pytest.mark.parametrize("names", [*[(name,) for name in DIMS], ("audio", "text"), tuple(DIMS)])
def test_any_set_of_modalities_makes_a_network(names: tuple[str, ...]) -> None:
    network = VideoNetwork(SMALL_NETWORK, {name: DIMS[name] for name in names}, 3, 4)
    outputs = network(one_batch())
    assert outputs.category_logits.shape == (8, 3)
    assert outputs.tag_logits.shape == (8, 4)
    assert outputs.embedding.shape == (8, SMALL_NETWORK.embedding_width)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_aggregator_and_fusion_fits(aggregator: str, fusion: str) -> None:
    config = replace(
        SMALL_NETWORK,
        frames_aggregator=aggregator,
        audio_aggregator=aggregator,
        text_aggregator=aggregator,
        fusion=fusion,
    )
    outputs = VideoNetwork(config, DIMS, 3, 4)(one_batch())
    assert torch.isfinite(outputs.embedding).all()


def test_heads_that_are_not_asked_for_are_absent() -> None:
    assert VideoNetwork(SMALL_NETWORK, DIMS, 0, 4)(one_batch()).category_logits is None
    assert VideoNetwork(SMALL_NETWORK, DIMS, 3, 0)(one_batch()).tag_logits is None


def test_network_without_modalities_is_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        VideoNetwork(SMALL_NETWORK, {}, 3, 4)
    with pytest.raises(DataError, match="names speech, but there are only features of frames, motion"):
        VideoNetwork(replace(SMALL_NETWORK, modalities="speech"), DIMS, 3, 4)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_masked_modality_is_as_if_it_were_not_there(heads: str, fusion: str) -> None:
    config = replace(SMALL_NETWORK, missing="masked", heads=heads, fusion=fusion)
    network = VideoNetwork(config, DIMS, 3, 4).eval()
    batch = one_batch(missing=0.0)
    silent = network(without(batch, "audio", 7.0)).embedding
    for parameter in network.get_submodule("experts.0.encoders.audio").parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(network(without(batch, "audio", -5.0)).embedding, silent)
    assert not torch.allclose(network(batch).embedding, silent)


def test_restricted_network_sees_its_modalities_alone() -> None:
    network = VideoNetwork(replace(SMALL_NETWORK, modalities="text, frames"), DIMS, 3, 4).eval()
    assert list(network.modality_dims) == ["text", "frames"]
    batch = one_batch(missing=0.0)
    assert torch.equal(network(without(batch, "audio", 1.0)).embedding, network(batch).embedding)


def test_mixture_is_the_weighted_mean_of_its_experts() -> None:
    network = VideoNetwork(replace(SMALL_NETWORK, num_experts=3), DIMS, 3, 4).eval()
    outputs = network(one_batch())
    logits = torch.stack([expert.category_logits for expert in outputs.experts])
    assert not torch.allclose(logits[0], logits[1])
    with torch.no_grad():
        network.get_parameter("gate.weight").zero_()
        network.get_parameter("gate.bias").copy_(torch.tensor([0.0, 50.0, 0.0]))
    assert torch.allclose(network(one_batch()).category_logits, logits[1])
    with torch.no_grad():
        network.get_parameter("gate.bias").zero_()
    assert torch.allclose(network(one_batch()).category_logits, logits.mean(dim=0), atol=1e-6)


def test_watched_steps_get_gradients_and_moves_are_added() -> None:
    network = VideoNetwork(replace(SMALL_NETWORK, text_embedding="both"), DIMS, 3, 4, num_tokens=4)
    config = network.config
    captured: dict[str, torch.Tensor] = {}
    batch = one_batch(config=config)
    outputs = network(batch, captured=captured)
    assert torch.equal(outputs.embedding, network(batch).embedding)
    outputs.embedding.square().sum().backward()
    assert list(captured) == list(DIMS)
    for name, steps in captured.items():
        assert steps.grad is not None
        assert steps.grad[batch.masks[name]].abs().max() > 0
        assert not steps.grad[~batch.masks[name]].any()
    perturbations = {"audio": torch.ones_like(captured["audio"])}
    assert not torch.allclose(network(batch, perturbations=perturbations).embedding, outputs.embedding)


def test_missing_modality_is_its_learned_vector() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 3, 4).eval()
    batch = one_batch(missing=0.0)
    silent = network(without(batch, "audio", 7.0)).embedding
    assert torch.equal(network(without(batch, "audio", -5.0)).embedding, silent)
    with torch.no_grad():
        network.get_parameter("experts.0.encoders.audio.missing").fill_(1.0)
    assert not torch.allclose(network(without(batch, "audio", 7.0)).embedding, silent)
    heard = network(batch).embedding
    with torch.no_grad():
        network.get_parameter("experts.0.encoders.audio.missing").fill_(2.0)
    assert torch.equal(network(batch).embedding, heard)


KINDS = {
    "plain": SMALL_NETWORK,
    "cascade": replace(SMALL_NETWORK, heads="cascade", tag_head="moe"),
    "hierarchical": replace(SMALL_NETWORK, heads="hierarchical"),
    "own heads": replace(SMALL_NETWORK, modality_heads=True),
    "mixture": replace(SMALL_NETWORK, num_experts=3, modality_heads=True),
    "masked": replace(SMALL_NETWORK, missing="masked", fusion="gate_fusion"),
    "table": replace(SMALL_NETWORK, text_embedding="trained"),
    "both": replace(SMALL_NETWORK, text_embedding="both", fusion="low_rank"),
    "nothing hidden": replace(SMALL_NETWORK, hidden_width=0, cover_width=0, text_width=0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str) -> None:
    config = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VideoNetwork(config, DIMS, 3, 4, num_tokens=10)
    if network.prepare.table is not None:
        # One more, so that a token without a row occurs too.
        network.prepare.table.known.copy_(torch.arange(1, 11) * 100)
    batch = one_batch(32, config=config)
    labels = BatchLabels(torch.arange(32) % 3, (torch.arange(128).view(32, 4) % 3 == 0).float(), torch.ones(32).bool())
    torch.autograd.backward(total_loss(network(batch), labels, TrainConfig()))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_modality_dropout_acts_in_training_only() -> None:
    config = replace(SMALL_NETWORK, modality_dropout=0.9)
    network = VideoNetwork(config, DIMS, 3, 4)
    batch = one_batch()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        assert not torch.allclose(network(batch).embedding, network(batch).embedding)
        assert torch.equal(network.eval()(batch).embedding, network(batch).embedding)


def test_forward_leaves_the_batch_as_it_is() -> None:
    batch = one_batch()
    before = {name: features.clone() for name, features in batch.features.items()}
    VideoNetwork(SMALL_NETWORK, DIMS, 3, 4)(batch)
    assert all(torch.equal(batch.features[name], before[name]) for name in DIMS)
