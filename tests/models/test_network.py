from dataclasses import replace

import numpy as np
import pytest
import torch

from models.batching import Batch, iterate_batches
from models.config import FUSIONS, SEQUENCE_AGGREGATORS
from models.errors import DataError
from models.network import VideoNetwork
from tests.models.synthetic import SMALL_NETWORK, random_source

DIMS = {"frames": 10, "motion": 6, "audio": 7, "text": 9, "cover": 10}


def one_batch(num_clips: int = 8, missing: float = 0.3) -> Batch:
    source = random_source(num_clips, DIMS, missing=missing)
    return next(iterate_batches(source, np.arange(num_clips), SMALL_NETWORK, num_clips))


def without(batch: Batch, name: str, fill: float) -> Batch:
    """The batch in which no clip has the modality; `fill` stands under its mask."""
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


@pytest.mark.parametrize("aggregator", SEQUENCE_AGGREGATORS)
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


def test_missing_modality_is_its_learned_vector() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 3, 4).eval()
    batch = one_batch(missing=0.0)
    silent = network(without(batch, "audio", 7.0)).embedding
    assert torch.equal(network(without(batch, "audio", -5.0)).embedding, silent)
    with torch.no_grad():
        network.get_parameter("encoders.2.missing").fill_(1.0)
    assert not torch.allclose(network(without(batch, "audio", 7.0)).embedding, silent)
    heard = network(batch).embedding
    with torch.no_grad():
        network.get_parameter("encoders.2.missing").fill_(2.0)
    assert torch.equal(network(batch).embedding, heard)


def test_every_parameter_learns() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 3, 4)
    outputs = network(one_batch(32))
    (outputs.category_logits.square().sum() + outputs.tag_logits.square().sum()).backward()
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
