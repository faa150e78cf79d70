"""A token's text is shown as it is, coloured by what it bought."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from walras.experiments.dashboard.pictures.token_text import BY, MOST, TokenText

TOKENS = (" the", "<b>&", "\n", "", "\x1b[31mred", "x" * 300)


def trace(tokens: tuple[str, ...] = TOKENS) -> pd.DataFrame:
    """A sequence in which later tokens buy more, in two layers of two maps."""
    rows = [
        {
            "sequence": 0, "position": position, "token": token, "surprisal": np.nan if position == 0 else 1.0,
            "surprisal_by_lot": np.nan, "layer": layer, "map": name, "offered": 100,
            "kept": 10 * position + layer, "price": 0.1, "spent": float(position), "surplus": 0.5,
        }
        for position, token in enumerate(tokens)
        for layer in range(2)
        for name in ("heads", "ffn")
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"token": "category", "map": "category"})


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("layer", [None, 1])
def test_every_token_is_there_once_and_none_is_markup(by: str, layer: int | None) -> None:
    html = TokenText(trace()).html(by, layer, picked=1)
    root = ElementTree.fromstring(f"<div>{html}</div>")
    spans = root.findall(".//span")
    assert [span.attrib["data-token"] for span in spans] == [str(i) for i in range(len(TOKENS))]
    assert spans[1].text == "<b>&"
    assert spans[4].text == "red"
    assert html.count("outline") == 1


def test_a_token_that_bought_more_is_brighter() -> None:
    html = TokenText(trace()).html("share")
    colours = [span.attrib["style"] for span in ElementTree.fromstring(f"<div>{html}</div>").findall(".//span")]
    sums = [sum(int(part) for part in style.split("rgb(")[1].split(")")[0].split(",")) for style in colours]
    assert sums == sorted(sums)


def test_a_first_token_that_nothing_foresaw_has_no_colour() -> None:
    html = TokenText(trace()).html("surprisal")
    assert ElementTree.fromstring(f"<div>{html}</div>").findall(".//span")[0].attrib["style"] == ""


def test_purchases_of_a_token_are_shares_by_layer_and_map() -> None:
    shown = TokenText(trace())
    assert shown.purchases(3).to_numpy().tolist() == [[0.3, 0.3], [0.31, 0.31]]
    assert "31%" in shown.purchases_html(3)


def test_of_an_endless_sequence_the_beginning_is_shown() -> None:
    html = TokenText(trace(("a",) * (MOST + 5))).html("share")
    assert html.count("<span") == MOST
    assert f"The first {MOST} tokens are shown." in html
