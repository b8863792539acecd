"""Text from outside is text in the page, whatever it holds."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from models.rendering.markup import Html, element, escape, join


class Collector(HTMLParser):
    """What a browser would make of a page: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text())
def test_any_text_survives_as_text_and_as_attribute(text: str) -> None:
    shown = text
    for code in (*range(9), 0xB, 0xC, *range(0xE, 0x20), 0x7F, 0xFFFE, 0xFFFF):
        shown = shown.replace(chr(code), "\ufffd")
    page = Collector(element("b", text, title=text))
    assert page.tags == ["b"]
    assert page.attributes == [("title", shown)]
    assert page.text == shown


def test_half_of_a_surrogate_pair_can_be_written() -> None:
    assert escape("a\ud83cb").encode() == "a\ufffdb".encode()


def test_markup_is_not_escaped_twice_but_what_is_made_from_it_by_formatting_is() -> None:
    inner = element("i", "a < b")
    assert element("p", inner) == "<p><i>a &lt; b</i></p>"
    assert element("p", f"{inner}") == "<p>&lt;i&gt;a &amp;lt; b&lt;/i&gt;</p>"
    assert join([inner, "&"]) == "<i>a &lt; b</i>&amp;"
    assert isinstance(join([]), Html)


def test_attributes() -> None:
    made = element("td", class_="cell", http_equiv="x", colspan=2, id=None)
    assert made == '<td class="cell" http-equiv="x" colspan="2"></td>'
    assert element("img", src="a") == '<img src="a">'
