"""What helped is told by paired intervals, with its uncertainty and its gaps."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from features.base.errors import DataError
from models.ablation.runs import AblationRun
from models.ablation.significance import Estimate, Verdict, estimate, verdict
from models.ablation.table import AblationTable, VariantSummary, summarise
from models.ablation.text import findings

if TYPE_CHECKING:
    from collections.abc import Mapping


def runs_of(
    variant: str, scores: Mapping[int, float | None], *, metric: str = "tag map", parameters: int = 10
) -> list[AblationRun]:
    return [AblationRun(variant, seed, {metric: score}, parameters, 0.5 + seed) for seed, score in scores.items()]


def variant_of(table: AblationTable, name: str) -> VariantSummary:
    (found,) = [variant for variant in table.variants if variant.name == name]
    return found


BASE = {1: 0.80, 2: 0.82, 3: 0.84}


def test_mean_and_interval_of_three_seeds_by_hand() -> None:
    # deviation 0.02; Student's t of 2 degrees of freedom at 0.975 is 4.302653 in any table
    found = estimate([0.80, 0.82, 0.84])
    reach = 4.302653 * 0.02 / 3**0.5
    assert found.mean == pytest.approx(0.82)
    assert found.low == pytest.approx(0.82 - reach, abs=1e-6)
    assert found.high == pytest.approx(0.82 + reach, abs=1e-6)
    assert found.num_seeds == 3


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom() -> None:
    # half a difference of 0.02 is its deviation over the root of 2: 0.01 times 12.7062
    assert estimate([0.50, 0.52]).high == pytest.approx(0.51 + 0.127062, abs=1e-6)


def test_one_seed_has_no_interval() -> None:
    assert estimate([0.7]) == Estimate(0.7, None, None, 1)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8).filter(
        lambda pairs: np.std([a - b for a, b in pairs]) > 1e-6
    )
)
def test_the_paired_difference_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    table = summarise([*runs_of("base", dict(enumerate(theirs))), *runs_of("new", dict(enumerate(ours)))], "base")
    summary = variant_of(table, "new").metrics["tag map"]
    test = stats.ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    difference = summary.difference
    assert difference is not None
    assert difference.low == pytest.approx(interval.low, abs=1e-9)
    assert difference.high == pytest.approx(interval.high, abs=1e-9)
    assert (summary.verdict in {Verdict.HELPED, Verdict.HARMED}) == (test.pvalue < 0.05)


def test_without_an_effect_one_interval_in_twenty_excludes_0() -> None:
    generator = np.random.default_rng(0)
    found = [verdict(estimate(row)) for row in generator.normal(size=(2000, 4)).tolist()]
    # 0.05 with a standard error of 0.005, and on both sides alike
    assert 0.035 < np.mean([one is not Verdict.NOT_SHOWN for one in found]) < 0.065
    assert 0.015 < np.mean([one is Verdict.HARMED for one in found]) < 0.035


def test_pairs_are_made_by_seed_not_by_order() -> None:
    better = {3: 0.861, 1: 0.820, 2: 0.841}
    table = summarise([*runs_of("base", BASE), *runs_of("new", better)], "base")
    difference = variant_of(table, "new").metrics["tag map"].difference
    assert difference is not None
    # differences 0.020, 0.021, 0.021; paired by order they would be 0.061, 0.000, 0.001
    assert difference.mean == pytest.approx(0.062 / 3)
    assert difference.low == pytest.approx(0.062 / 3 - 4.302653 * np.std([0.020, 0.021, 0.021], ddof=1) / 3**0.5)
    assert variant_of(table, "new").metrics["tag map"].verdict is Verdict.HELPED
    turned = summarise([*runs_of("base", BASE), *runs_of("new", better)], "new")
    assert variant_of(turned, "base").metrics["tag map"].verdict is Verdict.HARMED


def test_a_missing_seed_is_seen_and_only_shared_ones_are_compared() -> None:
    table = summarise([*runs_of("base", BASE), *runs_of("new", {2: 0.90, 3: 0.91, 9: 0.0})], "base")
    new = variant_of(table, "new")
    assert (new.seeds, new.missing_seeds) == ((2, 3, 9), (1,))
    assert variant_of(table, "base").missing_seeds == (9,)
    summary = new.metrics["tag map"]
    assert summary.value is not None
    assert summary.difference is not None
    assert (summary.value.num_seeds, summary.difference.num_seeds) == (3, 2)
    assert summary.difference.mean == pytest.approx((0.08 + 0.07) / 2)


def test_a_seed_without_a_score_counts_for_nothing() -> None:
    table = summarise([*runs_of("base", {1: 0.5, 2: None}), *runs_of("new", {1: 0.75, 2: 0.75})], "base")
    summary = variant_of(table, "new").metrics["tag map"]
    assert summary.difference == Estimate(0.25, None, None, 1)
    assert summary.verdict is Verdict.UNDECIDED


def test_no_seed_in_common_decides_nothing() -> None:
    table = summarise([*runs_of("base", {1: 0.8}), *runs_of("new", {2: 0.9})], "base")
    assert variant_of(table, "new").metrics["tag map"].difference is None
    assert table.num_comparisons == 0
    assert "new: not decided in tag mAP (no seed in common)." in findings(table)


def test_the_same_difference_in_every_seed_is_no_proof() -> None:
    same = summarise([*runs_of("base", {1: 0.5, 2: 0.6}), *runs_of("new", {1: 0.55, 2: 0.65})], "base")
    assert variant_of(same, "new").metrics["tag map"].verdict is Verdict.UNDECIDED
    assert "new: not decided in tag mAP (+0.050, the same in all 2 seeds)." in findings(same)
    equal = summarise([*runs_of("base", BASE), *runs_of("new", BASE)], "base")
    assert variant_of(equal, "new").metrics["tag map"].verdict is Verdict.NOT_SHOWN


def test_the_reference_comes_first_and_the_others_as_they_ran() -> None:
    runs = [run for name in ("z", "base", "a") for run in runs_of(name, BASE)]
    table = summarise(runs, "base")
    assert [variant.name for variant in table.variants] == ["base", "z", "a"]
    assert table.variants[0].metrics["tag map"].difference is None
    assert table.runs == tuple(runs)


def test_headlines_come_first_and_those_without_a_score_are_left_out() -> None:
    metrics = {"category macro_f1": 0.5, "tag map": 0.6, "category map": None, "category accuracy": 0.7}
    table = summarise([AblationRun("base", 1, metrics, 1, 1.0)], "base")
    assert table.headlines == ("category accuracy", "category macro_f1", "tag map")
    assert table.metrics == ("category accuracy", "category macro_f1", "tag map")
    chosen = summarise(table.runs, "base", headlines=["category macro_f1"])
    assert chosen.metrics == ("category macro_f1", "tag map", "category accuracy")


def test_cost_is_the_largest_size_and_the_median_time() -> None:
    runs = [AblationRun("base", seed, {"tag map": 0.5}, 100 + seed, seconds) for seed, seconds in enumerate((1, 9, 2))]
    base = summarise(runs, "base").variants[0]
    assert (base.num_parameters, base.seconds_per_epoch) == (102, 2.0)


def test_sentences_say_what_helped_what_did_not_and_how_far_to_trust_it() -> None:
    runs = [
        *runs_of("default", BASE),
        *runs_of("cascade", {1: 0.812, 2: 0.833, 3: 0.851}),
        *runs_of("mean", {1: 0.70, 2: 0.73, 3: 0.74}),
        *runs_of("moe", {1: 0.81, 2: 0.81, 3: 0.845}),
        *runs_of("once", {2: 0.9}),
    ]
    found = findings(summarise(runs, "default"))
    # 0.012, 0.013, 0.011: mean 0.012, half interval 4.302653 * 0.001 / sqrt(3) = 0.0025
    assert found[0] == "cascade: tag mAP +0.012 (95 % interval 0.010 to 0.014, 3 seeds) against default: helped."
    assert found[1].startswith("mean: tag mAP −0.097 (95 % interval −0.111 to −0.082, 3 seeds) against default: harmed")
    assert found[2].startswith("moe: no difference shown in tag mAP (+0.002, −0.0")
    assert found[3] == "once: not decided in tag mAP (+0.080, one seed)."
    assert found[4] == "Seeds are missing: once (1 of 3, without 1, 3). Only seeds in common are compared."
    assert found[5].startswith("3 differences have a 95 % interval. If no variant differed from default, 0.15 of them")
    assert "would exclude 0 by chance" in found[5]
    assert len(found) == 6


def test_sentences_without_a_shown_difference_and_without_a_comparison() -> None:
    runs = [*runs_of("default", BASE), *runs_of("moe", {1: 0.81, 2: 0.81, 3: 0.845})]
    assert findings(summarise(runs, "default"))[0].startswith("No variant is shown to differ from default")
    assert findings(summarise(runs[:3], "default")) == ["Nothing was compared with default."]


def test_a_reference_that_did_not_run_is_refused() -> None:
    with pytest.raises(DataError, match=r"no run of the reference 'other': .*\(base\)"):
        summarise(runs_of("base", BASE), "other")
    with pytest.raises(DataError, match=r"\(none\)"):
        summarise([], "other")


def test_one_seed_twice_is_refused() -> None:
    with pytest.raises(DataError, match="variant 'base' has two runs of seed 2"):
        summarise([*runs_of("base", BASE), *runs_of("base", {2: 0.1})], "base")


@pytest.mark.parametrize(
    ("score", "parameters", "seconds", "message"),
    [
        (float("nan"), 1, 1.0, "tag map of variant 'x', seed 3, is nan: give a finite number"),
        (0.5, -1, 1.0, "num_parameters .* is -1: give 0 or more"),
        (0.5, 1, float("inf"), "seconds_per_epoch .* is inf"),
    ],
)
def test_a_run_with_an_impossible_figure_is_refused(
    score: float, parameters: int, seconds: float, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        AblationRun("x", 3, {"tag map": score}, parameters, seconds)


def test_the_order_of_the_runs_changes_no_figure() -> None:
    runs = [*runs_of("base", BASE), *runs_of("new", {1: 0.81, 2: 0.85, 3: 0.83})]
    tables = [summarise(order, "base").variants for order in itertools.permutations(runs, len(runs))]
    assert all(variants == tables[0] for variants in tables)
