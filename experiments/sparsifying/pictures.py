"""Pictures of a token trace: the text coloured by what was bought, maps, surprise, and the first tokens."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from walras.experiments.reports.axes import from_zero, legend_outside
from walras.experiments.reports.numbers import count, percent
from walras.experiments.reports.pages.page import Made, Page, Picture, Section, Shaded, Table
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.reports.plots import BLUE, MANY, ORANGE, png
from walras.experiments.sparsifying.study import FIRST, TokenStudy, binned
from walras.experiments.store.place import check_place
from walras.experiments.store.versions import versions
from walras.files.writing import write_whole

LINE, LINES = 92, 24  # characters of a line of text, and lines
TOKENS = 600  # of the text on a page
_COLOURS = "cividis"  # even to the eye, and to those who do not tell red from green


def draw(study: TokenStudy, folder: Path, command: str = "") -> None:
    """Write the pictures into a folder, and `report.html` with them; the text is text there.

    Args:
        study: of the trace.
        folder: where they go.
        command: by which they were made.

    Raises:
        InputError: a place that cannot be written.
    """
    check_place(folder)
    write_whole(folder / "text.png", png(text(study)))
    write_page(folder, trace_page(study, command))


def trace_page(study: TokenStudy, command: str) -> Page:
    """The page of a token trace."""
    pictures = [
        Picture("maps", maps(study), "Share that tokens buy, by layer and map."),
        Picture("first-tokens", first_tokens(study), "Share that the first tokens of a sequence buy, by kind of map.",
                "The axis goes from 0 to 1."),
    ]  # fmt: skip
    if study.surprise is not None:
        pictures.append(
            Picture("surprisal", surprisal(study), "Surprisal of tokens by what they bought.",
                    "Points are tokens; bars are standard errors; the axis of surprisal starts at 0.")
        )  # fmt: skip
    bought = float(study.tokens["kept"].sum() / study.tokens["offered"].sum())
    verdict = f"{count(len(study.tokens))} tokens bought {percent(bought)} of the multiplications on offer."
    spread = Table(("", "share"), [[name, percent(share)] for name, share in study.spread.items()], "By token")
    layers = study.maps.reset_index()
    rows = [[str(row[0]), *(percent(x) for x in row[1:])] for row in layers.itertuples(index=False)]
    by_map = Table([str(name) for name in layers.columns], rows, "Share bought, by layer and map")
    sections = [
        Section("Who bought", [_shaded(study)]),
        Section("What they bought", pictures),
        Section("By layer", [by_map], folded=True),
    ]
    about = "What the tokens of a sparsified network bought of its multiplications."
    return Page("Tokens and what they bought", about, verdict, [spread], sections, Made(command, versions=versions()))


def _shaded(study: TokenStudy) -> Shaded:
    """The first sequence's text; a token's background is as strong as its share is large among all."""
    tokens = study.tokens[study.tokens["sequence"] == study.tokens["sequence"].min()].head(TOKENS)
    low, high = (float(study.tokens["share"].quantile(q)) for q in (0.02, 0.98))
    strength = ((tokens["share"] - low) / max(high - low, 1e-6)).clip(0, 1)
    pieces = [
        (
            "".join(letter if letter.isprintable() else "·" for letter in str(token)) or "·",
            float(strong),
            percent(share),
        )
        for token, strong, share in zip(tokens["token"], strength, tokens["share"], strict=True)
    ]
    caption = f"The stronger the colour, the more a token bought: from {percent(low)} to {percent(high)}."
    return Shaded(pieces, caption)


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
    axes.scatter(tokens["share"], tokens["surprisal"], s=6, color=BLUE, alpha=0.25, lw=0, rasterized=len(tokens) > MANY)
    from_zero(axes, tokens["surprisal"])
    for name, column, marker, colour in (
        ("buyers of the market", "surprisal", "o-", BLUE), ("as many, drawn by lot", "surprisal_by_lot", "s--", ORANGE)
    ):  # fmt: skip
        means = binned(tokens["share"], tokens[column])
        axes.errorbar(means["share"], means["mean"], means["error"], fmt=marker, color=colour, label=name, capsize=2)
    axes.set_xlabel("bought [share of the token's multiplications]")
    axes.set_ylabel("surprisal of the token [nats]")
    legend_outside(figure, axes)
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
    legend_outside(figure, axes, columns=4)
    return figure
