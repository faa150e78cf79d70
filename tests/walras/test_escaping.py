"""Texts made harmless for terminals and Markdown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.escaping import markdown_code, markdown_text, one_line, terminal_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain [b]text[/b]", "plain [b]text[/b]"),
        ("é 日本 😀\tx\ny", "é 日本 😀\tx\ny"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x1b\\link", r"]8;;http://evil\link"),
        ("\x1b]0;title\x07x", "]0;titlex"),
        ("\x1b]never closed", "]never closed"),
        ("\x9b31mred \x1bc\x1b(0\x1b", "red c(0"),
        ("a\rb\x08\x00\x7f\x85", "ab"),
        ("abc\u202edcba\u2069\u200f", "abcdcba"),
        ("\ud800x", "\\ud800x"),
    ],
)
def test_terminal(text: str, expected: str) -> None:
    assert terminal_text(text) == expected


@given(st.text(st.characters(max_codepoint=0x9F) | st.characters(), max_size=40))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    plain = terminal_text(text)
    assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"]
    assert not [c for c in plain if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "PDI")]
    assert terminal_text(plain) == plain


def test_one_line() -> None:
    assert one_line("a\n  b  c\n\nd") == "a b  c  d"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"


def test_markdown() -> None:
    found = markdown_text("<script>[x](javascript:1)\n# *b* | $x$ &lt; a-b.c")
    assert found == r"\<script\>\[x\](javascript\:1) \# \*b\* \| \$x\$ \&lt; a-b.c"
    assert markdown_code("a|b\n<x>") == "`a¦b <x>`"
    assert markdown_code("a``b`") == "``` a``b` ```"
