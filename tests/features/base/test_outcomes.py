from features.base.outcomes import MAX_DETAIL_CHARACTERS, Outcome, Tally, leading_code


def test_a_detail_is_one_bounded_line() -> None:
    outcome = Outcome("a", "failed", "x", "first\n  second\tthird " + "y" * 1000)
    assert outcome.detail.startswith("first second third yyy")
    assert len(outcome.detail) == MAX_DETAIL_CHARACTERS


def test_a_row_goes_to_json_and_back() -> None:
    outcome = Outcome("猫", "partial", "truncated", "2 of 20 frames")
    assert Outcome(**outcome.to_json()) == outcome  # type: ignore[arg-type] # a status is a text in JSON


def test_a_tally_counts_every_row_and_orders_the_codes_by_number() -> None:
    outcomes = [
        Outcome("a", "ok"),
        Outcome("b", "ok", "no_audio"),
        Outcome("c", "failed", "http_404"),
        Outcome("d", "failed", "http_404"),
        Outcome("e", "partial", "cover_http_404"),
    ]
    tally = Tally.of(iter(outcomes))
    assert tally.rows == 5
    assert tally.counts == {"ok": 2, "partial": 1, "failed": 2}
    assert list(tally.codes.items()) == [("http_404", 2), ("cover_http_404", 1), ("no_audio", 1)]
    assert tally.problems == tuple(outcomes[2:])


def test_no_outcome_gives_zeros() -> None:
    assert Tally.of([]) == Tally(0, {"ok": 0, "partial": 0, "failed": 0}, {}, ())


def test_of_several_codes_one_that_may_pass_counts_first() -> None:
    assert leading_code(["truncated", "cover_decode_timeout"]) == "cover_decode_timeout"
    assert leading_code(["http_404", "cover_not_a_picture"]) == "http_404"
