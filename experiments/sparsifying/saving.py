"""The folder of a sparsified network: what transformers loads, the figures, and a trace where one is wanted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from walras.experiments.sparsifying.card import card
from walras.experiments.sparsifying.trace_table import FIGURES, write_part
from walras.files.plain_data import write_json
from walras.files.writing import write_whole
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.saving import save_sparsified

TRACE = "trace"


def save(
    model: nn.Module, network: Calibrated, tokenizer: Any, summary: Mapping[str, Any], folder: str | Path, *,
    overwrite: bool = False, traces: Iterable[pd.DataFrame] = (),
) -> dict[str, Any]:  # fmt: skip
    """Write the folder, whole or not at all; its figures come back.

    Args:
        model: what decodes.
        network: the dense network and its maps.
        tokenizer: its tokenizer.
        summary: the figures.
        folder: where to.
        overwrite: replace an export that is there.
        traces: of every traced sequence.
    """

    def add(draft: Path) -> None:
        write_whole(draft / FIGURES, write_json(dict(summary)))
        for number, part in enumerate(traces):
            (draft / TRACE).mkdir(exist_ok=True)
            write_part(draft / TRACE / f"tokens-{number:05d}.parquet", part)

    name = Path(folder).resolve().name
    save_sparsified(
        model, network.model, tokenizer, folder, network.maps, prefill=str(summary["prefill"]),
        card=card(network.model, summary, name), overwrite=overwrite, more=add,
    )  # fmt: skip
    files = sorted(place for place in Path(folder).rglob("*") if place.is_file())
    return {**summary, "out": str(folder), "bytes": {str(p.relative_to(folder)): p.stat().st_size for p in files}}
