import pytest

from features.manifests.categories import ENGLISH_TO_CHINESE, category_name, other_name


def test_there_are_31_categories_with_two_names_each() -> None:
    assert len(ENGLISH_TO_CHINESE) == 31
    assert len(set(ENGLISH_TO_CHINESE.values())) == 31


@pytest.mark.parametrize(
    ("written", "english", "chinese"),
    [
        ("Beach", "Beach", "海滩"),
        ("海滩", "Beach", "海滩"),
        ("green  SCREEN", "Green Screen", "绿幕"),
        ("GreenScreen", "Green Screen", "绿幕"),
        (" Ｂｅａｃｈ ", "Beach", "海滩"),
        ("vr", "360VR", "VR"),
        ("4K", "4k", "4K"),
        ("r3d", "R3d", "R3d"),
        ("SPACE", "space", "太空"),
        ("cats", "cats", "cats"),
        ("", "", ""),
    ],
)
def test_names_in_both_languages(written: str, english: str, chinese: str) -> None:
    assert category_name(written, "en") == english
    assert category_name(written, "zh") == chinese


def test_every_name_leads_to_the_other_and_back() -> None:
    for english, chinese in ENGLISH_TO_CHINESE.items():
        assert category_name(category_name(english, "zh"), "en") == english
        if english not in {"4k", "R3d"}:
            assert (other_name(english), other_name(chinese)) == (chinese, english)


@pytest.mark.parametrize("name", ["4k", "4K", "R3d", "cats", "宣传片", ""])
def test_a_name_without_another_has_none(name: str) -> None:
    assert other_name(name) is None
