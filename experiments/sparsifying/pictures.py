"""Pictures of a token trace: the text coloured by what was bought, maps, surprise, and the first tokens."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from walras.experiments.reports.plots import BLUE, ORANGE, png
from walras.experiments.sparsifying.study import FIRST, TokenStudy, binned
from walras.experiments.store.place import check_place
from walras.files.writing import write_whole

LINE, LINES = 92, 24  # characters of a line of text, and lines
_COLOURS = "cividis"  # even to the eye, and to those who do not tell red from green


def draw(study: TokenStudy, folder: Path) -> None:
    """Write the pictures into a folder.

    Raises:
        InputError: a place that cannot be written.
    """
    check_place(folder)
    figures = {"text": text(study), "maps": maps(study), "first-tokens": first_tokens(study)}
    if study.surprise is not None:
        figures["surprisal"] = surprisal(study)
    for name, figure in figures.items():
        write_whole(folder / f"{name}.png", png(figure))


def text(study: TokenStudy) -> Figure:
    """The first sequence; a token's background is the share of its multiplications that it bought."""
    tokens = study.tokens[study.tokens["sequence"] == study.tokens["sequence"].min()]
    low, high = (float(study.tokens["share"].quantile(q)) for q in (0.02, 0.98))
    scale = ScalarMappable(Normalize(low, max(high, low + 1e-6)), _COLOURS)
    placed = _lines(tokens)
    height = 1 + max(line for line, _, _, _ in placed)
    figure = Figure(figsize=(9, 0.28 * height + 0.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(0, LINE)
    axes.set_ylim(height, 0)
    axes.axis("off")
    colours = scale.to_rgba(np.array([share for *_, share in placed]))
    for (line, start, words, _), colour in zip(placed, colours, strict=True):
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.5
        axes.axvspan(start, start + len(words), 1 - (line + 0.95) / height, 1 - line / height, color=colour, lw=0)
        for place, letter in enumerate(words):  # one by one: no font is as wide as it says
            if not letter.isspace():
                axes.text(
                    start + place + 0.5, line + 0.55, letter, ha="center", va="center", family="monospace",
                    fontsize=8, color="black" if bright else "white", parse_math=False,
                )  # fmt: skip
    figure.colorbar(scale, ax=axes, orientation="horizontal", fraction=0.05, aspect=40, pad=0.02).set_label(
        "bought [share of the token's multiplications]"
    )
    return figure


def _lines(tokens: pd.DataFrame) -> list[tuple[int, int, str, float]]:
    """Line, column, letters and share of every token, as far as they fit."""
    placed, line, column = [], 0, 0
    for token, share in zip(tokens["token"], tokens["share"], strict=True):
        words = "".join(letter if letter.isprintable() else "·" for letter in str(token))[:LINE] or "·"
        if column + len(words) > LINE:
            line, column = line + 1, 0
        if line >= LINES:
            break
        placed.append((line, column, words, float(share)))
        column += len(words)
    return placed


def maps(study: TokenStudy) -> Figure:
    """Share that tokens buy, by layer and map."""
    shares = study.maps
    figure = Figure(figsize=(1.2 + 0.75 * shares.shape[1], min(1.4 + 0.26 * len(shares), 14)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares.to_numpy(), aspect="auto", cmap=_COLOURS, vmin=0, vmax=1)
    axes.set_xticks(range(shares.shape[1]), [str(name) for name in shares.columns], rotation=30)
    axes.set_ylabel("layer")
    axes.set_xlabel("map")
    figure.colorbar(image, ax=axes).set_label("bought [share of the map]")
    return figure


def surprisal(study: TokenStudy) -> Figure:
    """Surprisal of tokens by what they bought, with the control that draws the buyers by lot; bars: standard errors."""
    tokens = study.tokens
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(tokens["share"], tokens["surprisal"], s=6, color=BLUE, alpha=0.25, lw=0)
    for name, column, marker, colour in (
        ("buyers of the market", "surprisal", "o-", BLUE), ("as many, drawn by lot", "surprisal_by_lot", "s--", ORANGE)
    ):  # fmt: skip
        means = binned(tokens["share"], tokens[column])
        axes.errorbar(means["share"], means["mean"], means["error"], fmt=marker, color=colour, label=name, capsize=2)
    axes.set_xlabel("bought [share of the token's multiplications]")
    axes.set_ylabel("surprisal of the token [nats]")
    axes.legend(frameon=False)
    return figure


def first_tokens(study: TokenStudy) -> Figure:
    """Share of every kind of map that the first tokens of a sequence buy."""
    shares = study.positions
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, marker in zip(shares.columns, "os^vDPX*hd", strict=False):
        axes.plot(range(len(shares)), shares[name], marker=marker, ms=4, lw=1, label=str(name))
    axes.set_xticks(range(len(shares)), [str(p) if p < FIRST else "later" for p in shares.index])
    axes.set_xlabel("position of the token in its sequence")
    axes.set_ylabel("bought [share of the map]")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, ncols=2, fontsize=8)
    return figure
