"""A picture as SVG inside a page: it takes the page's colours, light or dark, its font, and asks for no other file."""

import io
import re
from xml.etree import ElementTree as Tree

import matplotlib as mpl
from matplotlib.figure import Figure

from walras.escaping import terminal_text
from walras.experiments.reports.picture_text import settle_texts, without_remarks

_HUES = {
    "#000000": "ink", "#0072b2": "blue", "#d55e00": "orange", "#009e73": "green", "#cc79a7": "purple",
    "#e69f00": "amber", "#56b4e9": "sky", "#999999": "grey", "#666666": "grey", "#cccccc": "rule", "#b0b0b0": "rule",
    "#dddddd": "rule", "#ffffff": "paper",
}  # fmt: skip
"""Colours of our pictures, and the variable of the page's style that stands for each: lighter ones on dark paper."""
_COLOUR = re.compile("#[0-9a-f]{6}")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DOTS = 150  # an inch, of what is drawn as dots because it would be many shapes
_POINT, _NARROWEST = 96 / 72, 0.7  # pixels; of a picture's width: where there is less room, it is scrolled


def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an element of a page; the same figure gives the same text.

    Args:
        figure: to be drawn, on a transparent ground.
        name: no two pictures of a page have the same.
        alt: what it shows, in words.
    """
    settle_texts(figure)
    buffer = io.StringIO()
    about = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with without_remarks(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", dpi=_DOTS, transparent=True, metadata=about)
    root = Tree.fromstring(_NO_XML.sub("", buffer.getvalue()))
    for parent in [*root.iter()]:
        for child in [*parent]:
            if _plain(child.tag) in ("metadata", "style", "title"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _plain(element.tag)
        element.attrib = {_plain(key): _settled(key, value, name) for key, value in element.attrib.items()}
        if element.tag == "g":
            element.attrib.pop("id", None)  # numbers that every picture has, and nothing leads to
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    wide = width * _POINT
    title = Tree.Element("title")
    title.text = _NO_XML.sub("", terminal_text(alt))
    root.insert(0, title)
    root.attrib = {
        "viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": title.text,
        "style": f"width: 100%; max-width: {wide:.0f}px; min-width: {_NARROWEST * wide:.0f}px",
    }  # fmt: skip
    return Tree.tostring(root, encoding="unicode")


def _plain(name: str) -> str:
    """A name without its namespace, which a page does not need."""
    return name.rpartition("}")[2]


def _settled(key: str, value: str, name: str) -> str:
    """The value of an attribute: colours as the page has them, names that no other picture of the page has."""
    if key == "style":
        value = _COLOUR.sub(lambda found: f"var(--{_HUES[found[0]]})" if found[0] in _HUES else found[0], value)
    if key == "id":
        return f"{name}-{value}"
    if _plain(key) == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return value.replace("url(#", f"url(#{name}-")
