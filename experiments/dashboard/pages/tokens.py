"""The page of a sparsified decoder's trace: a text coloured by what its tokens spent."""

from typing import Any

import pandas as pd
import solara

from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.pages.folder_page import FolderKind, FolderPage
from walras.experiments.dashboard.pages.parts import Menu, Picture
from walras.experiments.dashboard.pictures.token_text import BY, TokenText
from walras.experiments.sparsifying.trace_table import read_token_trace

ALL = "all layers"


@solara.component
def Sequences(trace: pd.DataFrame) -> None:
    """One sequence, and one of its tokens."""
    numbers = solara.use_memo(lambda: sorted(int(one) for one in trace["sequence"].unique()), [])
    place, set_place = solara.use_state(0)
    by, set_by = solara.use_state("share")
    layer, set_layer = solara.use_state(ALL)
    picked, set_picked = solara.use_state(-1)
    sequence = numbers[min(place, len(numbers) - 1)]
    shown = solara.use_memo(lambda: TokenText(trace[trace["sequence"] == sequence]), [sequence])

    def move(to: int) -> None:
        set_picked(-1)
        set_place(to)

    if len(numbers) > 1:
        solara.SliderInt(f"Sequence {sequence}", place, min=0, max=len(numbers) - 1, on_value=move)
    with solara.Div(classes=["walras-grid"]):
        Menu(
            "Coloured by", list(BY.values()), BY[by],
            on_value=lambda told: set_by(next(key for key, name in BY.items() if name == told)),
        )  # fmt: skip
        Menu("Layer", [ALL, *map(str, shown.layers)], layer, on_value=set_layer)
    html = solara.use_memo(
        lambda: shown.html(by, None if layer == ALL else int(layer), picked), [sequence, by, layer, picked]
    )
    Picture(svg=html, event_pick=lambda told: set_picked(_token(told)))
    if picked in set(shown.trace["position"]):
        solara.Text(f"Bought by the token at position {picked}, of every map:")
        Picture(svg=shown.purchases_html(picked))
    else:
        solara.Text("Click a token to see what it bought, layer by layer.")


def _token(told: Any) -> int:
    number = told.get("token") if isinstance(told, dict) else None
    return number if isinstance(number, int) else -1


TRACES = FolderKind(
    "Sparsified network", "Name a folder with a token trace: walras sparsify --trace writes one.", read_token_trace,
    Sequences,
)  # fmt: skip


@solara.component
def TokenPage(launch: Launch) -> None:
    """What tokens bought, sequence by sequence."""
    FolderPage(TRACES, launch.token_folders, launch.local)
