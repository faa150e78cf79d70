"""Pictures inside pages."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.reports import plots
from walras.experiments.reports.pages.svg import inline_svg


def drawn() -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o-", color=plots.BLUE, label='<b> & "$x^{$" \x1b[0m\ufffe')
    axes.imshow(np.eye(2), cmap=plots.SHADES, interpolation="none")
    axes.legend()
    return figure


def test_colours_are_the_pages_and_nothing_is_fetched() -> None:
    text = inline_svg(drawn(), "a", 'it\'s "1" < 2\x00')
    assert text == inline_svg(drawn(), "a", 'it\'s "1" < 2\x00')
    root = ElementTree.fromstring(text)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == root[0].text == 'it\'s "1" < 2'
    assert "var(--blue)" in text
    assert "#0072b2" not in text
    assert "#000000" not in text
    assert not re.search("https?:|xmlns|<style|metadata", text)
    told = ["".join(element.itertext()) for element in root.iter("text")]
    assert '<b> & "$x^{$" ' in told
    assert "<b>" not in text


def test_names_of_two_pictures_do_not_meet() -> None:
    ids = [set(re.findall(r'id="([^"]+)"', inline_svg(drawn(), name, "x"))) for name in ("a", "b")]
    assert all(ids)
    assert not ids[0] & ids[1]
    text = inline_svg(drawn(), "a", "x")
    assert set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text)) <= ids[0]


def test_many_shapes_are_dots() -> None:
    """24 layers of 256 units: a cross each would be more than a page may have."""
    layer, index = (part.ravel() for part in np.mgrid[:24, :256])
    rows = pd.DataFrame({"round": 1, "kind": "ffn", "layer": layer, "index": index})
    for stays in (0.0, 1.0):
        text = plots.svg(plots.allocation(rows.assign(quantity=stays)), "a", "x")
        assert len(text) < 150_000
