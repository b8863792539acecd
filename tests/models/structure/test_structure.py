"""The table of a network's modules counts what a hand would count, whatever the network is."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from features.base.errors import DataError
from models.aggregators import AGGREGATORS
from models.config.network import MISSING, TEXT_EMBEDDINGS, NetworkConfig
from models.config.presets import PRESETS
from models.data.batching import Batch
from models.fusion import FUSIONS
from models.heads import HEADS
from models.network.network import VideoNetwork
from models.structure.describe import describe_network, example_batch
from models.structure.structure import ModuleRow, Structure, structure_from_json, structure_to_json
from models.tag_heads import TAG_HEADS
from tests.models.synthetic import SMALL_NETWORK

DIMS = {"frames": 10, "motion": 6, "audio": 7, "text": 9, "cover": 10}
EXPERT = "experts.0"
HAND = replace(
    SMALL_NETWORK,
    frames_aggregator="mean",
    fusion="concat",
    missing="learned",
    heads="independent",
    tag_head="linear",
    hidden_width=8,
    embedding_width=4,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    # These networks are tiny: more threads only wait for each other.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_of(config: NetworkConfig, *names: str, num_categories: int = 3, num_tags: int = 2) -> VideoNetwork:
    dims = {name: DIMS[name] for name in names or DIMS}
    return VideoNetwork(config, dims, num_categories, num_tags, num_tokens=5)


def structure_of(config: NetworkConfig, *names: str, num_clips: int = 2, num_steps: int = 6) -> Structure:
    network = network_of(config, *names)
    return describe_network(network, example_batch(network, num_clips, num_steps))


def expected(structure: Structure, path: str) -> ModuleRow:
    return structure.by_path()[path]


def test_parameters_and_operations_by_hand() -> None:
    structure = structure_of(HAND, "frames")
    # a mean has none; the norm a scale and a shift of 10; the learned vector 10
    assert expected(structure, f"{EXPERT}.encoders.frames").num_parameters == 20 + 10
    assert expected(structure, f"{EXPERT}.hidden").num_parameters == 10 * 8 + 8
    assert expected(structure, f"{EXPERT}.embed").num_parameters == 8 * 4 + 4
    assert expected(structure, f"{EXPERT}.heads").num_parameters == (4 * 3 + 3) + (4 * 2 + 2)
    assert structure.num_parameters == 30 + 88 + 36 + 25
    # a multiplication and an addition for each weight of a dense layer
    assert expected(structure, f"{EXPERT}.hidden").flops_per_clip == 2 * 10 * 8
    assert structure.flops_per_clip == 2 * (10 * 8 + 8 * 4 + 4 * 3 + 4 * 2)


def test_shapes_and_masks_by_hand() -> None:
    structure = structure_of(HAND, "frames", "cover")
    prepare = expected(structure, "prepare")
    assert prepare.inputs == ("(B, T, 10)", "(B, 1, 10)")
    assert prepare.masks == ("(B, T)", "(B, 1)")
    encoder = expected(structure, f"{EXPERT}.encoders.frames")
    assert (encoder.inputs, encoder.masks, encoder.outputs) == (("(B, T, 10)",), ("(B, T)", "(B,)"), ("(B, 10)",))
    fusion = expected(structure, f"{EXPERT}.fusion")
    assert (fusion.inputs, fusion.masks, fusion.outputs) == (("(B, 10)", "(B, 8)"), ("(B, 2)",), ("(B, 18)",))
    embed = expected(structure, f"{EXPERT}.embed")
    assert (embed.inputs, embed.masks, embed.outputs) == (("(B, 8)",), (), ("(B, 4)",))
    assert expected(structure, "").outputs == ("(B, 3)", "(B, 2)", "(B, 4)")


@pytest.mark.parametrize(("num_clips", "num_steps"), [(10, 8), (4, 3), (8, 10)])
def test_a_width_that_equals_a_number_of_clips_or_steps_stays_a_number(num_clips: int, num_steps: int) -> None:
    structure = structure_of(HAND, "frames", num_clips=num_clips, num_steps=num_steps)
    usual = structure_of(HAND, "frames")
    assert [(row.inputs, row.masks, row.outputs) for row in structure.rows] == [
        (row.inputs, row.masks, row.outputs) for row in usual.rows
    ]
    assert structure.flops_per_clip == usual.flops_per_clip


@pytest.mark.parametrize(("width", "num_steps"), [(4, 6), (64, 16)])
def test_an_lstm_is_counted_by_its_weights_in_each_step(width: int, num_steps: int) -> None:
    config = replace(HAND, frames_aggregator="bilstm", bilstm_width=width)
    row = expected(structure_of(config, "frames", num_steps=num_steps), f"{EXPERT}.encoders.frames.aggregate")
    # per step and direction: four gates read the step (10) and the state
    lstm = 2 * 2 * num_steps * 4 * width * (10 + width)
    # the attention's score of each step, and the weighted mean of the steps
    attention = 2 * num_steps * 2 * width + 2 * num_steps * 2 * width
    assert row.flops_per_clip == lstm + attention


@pytest.mark.parametrize(("width", "num_steps", "clusters"), [(8, 5, 4), (320, 64, 32)])
def test_nextvlad_is_counted_by_its_products_at_any_size(width: int, num_steps: int, clusters: int) -> None:
    # the larger one is computed by oneDNN, whose operations have other names
    config = replace(HAND, frames_aggregator="nextvlad", nextvlad_clusters=clusters, nextvlad_width=16)
    network = VideoNetwork(config, {"frames": width}, 3, 2)
    row = expected(
        describe_network(network, example_batch(network, 2, num_steps)), f"{EXPERT}.encoders.frames.aggregate"
    )
    groups, expanded = 2, 2 * width
    expand = num_steps * width * expanded
    attend_and_assign = num_steps * expanded * (groups + groups * clusters)
    weighted_sum = num_steps * groups * clusters * (expanded // groups)
    project = clusters * (expanded // groups) * 16
    assert row.flops_per_clip == 2 * (expand + attend_and_assign + weighted_sum + project)


def test_operations_grow_with_the_steps_and_not_with_the_clips() -> None:
    config = replace(HAND, frames_aggregator="nextvlad")
    path = f"{EXPERT}.encoders.frames.aggregate"
    short = expected(structure_of(config, "frames", num_steps=5), path).flops_per_clip
    assert expected(structure_of(config, "frames", num_clips=7, num_steps=5), path).flops_per_clip == short
    more = [expected(structure_of(config, "frames", num_steps=steps), path).flops_per_clip for steps in (10, 15)]
    assert more[0] - short == more[1] - more[0] > 0


def test_a_mixture_lists_one_expert_and_counts_all() -> None:
    one = structure_of(replace(SMALL_NETWORK, num_experts=1))
    three = structure_of(replace(SMALL_NETWORK, num_experts=3))
    gate = expected(three, "gate")
    inputs = sum(DIMS.values())
    assert gate.num_parameters == 3 * inputs + 3
    assert three.num_parameters == 3 * one.num_parameters + gate.num_parameters
    assert {row.copies for row in three.rows if row.path.startswith("experts.")} == {3}
    assert expected(three, EXPERT).num_parameters == one.num_parameters
    # logits and embedding of the experts are mixed by two operations a number and expert
    mixing = 2 * 3 * (3 + 2 + SMALL_NETWORK.embedding_width)
    assert three.flops_per_clip == 3 * expected(three, EXPERT).flops_per_clip + 2 * 3 * inputs + mixing


VARIANTS = {
    **{
        f"aggregator {name}": replace(SMALL_NETWORK, frames_aggregator=name, text_aggregator=name)
        for name in AGGREGATORS
    },
    **{
        f"fusion {name}, {gap}": replace(SMALL_NETWORK, fusion=name, missing=gap) for name in FUSIONS for gap in MISSING
    },
    **{
        f"heads {name}, {tags}": replace(SMALL_NETWORK, heads=name, tag_head=tags)
        for name in HEADS
        for tags in TAG_HEADS
    },
    **{f"text {name}": replace(SMALL_NETWORK, text_embedding=name) for name in TEXT_EMBEDDINGS},
    "no optional layer": replace(SMALL_NETWORK, cover_width=0, hidden_width=0, text_width=0),
    "own heads of two experts": replace(SMALL_NETWORK, modality_heads=True, num_experts=2, heads="cascade"),
}


def check(structure: Structure, network: VideoNetwork) -> None:
    """What holds for the table of any network."""
    rows = structure.by_path()
    assert len(rows) == len(structure.rows)
    assert structure.num_parameters == sum(parameter.numel() for parameter in network.parameters())
    assert structure.num_parameters == sum(row.copies * row.num_parameters for row in structure.rows if row.level == 1)
    for before, row in pairwise(structure.rows):
        assert 1 <= row.level <= before.level + 1
        assert row.inputs
        assert row.outputs
        assert all(shape.partition("× ")[2].startswith("(B") or shape.startswith("(B") for shape in row.outputs)
    for name in network.modality_dims:
        assert "(B, T)" in rows[f"{EXPERT}.encoders.{name}"].masks or name == "cover"
    assert structure.num_categories == 3
    assert structure.num_tags == 2
    assert structure_from_json(structure_to_json(structure)) == structure


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_every_network_can_be_described(config: NetworkConfig) -> None:
    network = network_of(config)
    check(describe_network(network, example_batch(network)), network)


@pytest.mark.parametrize("name", [name for name in PRESETS if "large" not in name])
def test_every_preset_can_be_described(name: str) -> None:
    network = network_of(PRESETS[name].network)
    check(describe_network(network, example_batch(network)), network)


def test_the_path_of_a_modality() -> None:
    structure = structure_of(replace(SMALL_NETWORK, text_embedding="both", text_aggregator="textcnn"))
    text = {modality.name: modality for modality in structure.modalities}["text"]
    assert (text.input_width, text.prepared_width, text.output_width) == (9, 18, 16)
    assert (text.preparations, text.aggregator, text.num_steps) == (("standardise", "trained table"), "textcnn", 6)
    cover = {modality.name: modality for modality in structure.modalities}["cover"]
    assert (cover.aggregator, cover.num_steps) == ("dense", 1)


def test_the_network_is_left_as_it_is() -> None:
    network = network_of(replace(SMALL_NETWORK, text_embedding="both", modality_dropout=0.5, dropout=0.5)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random_state = torch.get_rng_state()
    batch = example_batch(network)
    describe_network(network, batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert batch.features["frames"].shape == (2, 16, 10)


def test_a_batch_without_clips_is_refused() -> None:
    network = network_of(HAND, "frames")
    nothing = Batch({"frames": torch.zeros(0, 1, 10)}, {"frames": torch.zeros(0, 1, dtype=torch.bool)}, None)
    with pytest.raises(DataError, match="a batch of 0 clips: give at least one"):
        describe_network(network, nothing)
