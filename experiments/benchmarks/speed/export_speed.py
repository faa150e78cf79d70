"""How much faster an exported model is: its forward pass beside the dense model's, and that beside another (A/A).

    python -m walras.experiments.benchmarks.speed.export_speed RUN_OR_EXPORT ... --out export_speed.csv

A row an export or run. Passes of 32 x 128 random tokens take turns and the shortest of 20 counts. `speedup_share` is
the measured speed-up as a share of the MAC ratio, the ideal: MACs of the layers, dense over small (embeddings and head
cost the same in both). `aa` is the dense model's time over its own, taken as the small one's is: how far the figures
can be trusted. `bytes` is the size of the export's weights file, `dense_bytes` that of the dense model's weights.
"""

import platform
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, final

import pandas as pd
import torch
import typer
from torch import Tensor, nn

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import fail, output
from walras.experiments.export import Form, read_run, small_model, write
from walras.experiments.pipeline import parameters
from walras.models import inventory, macs
from walras.models.export.reloading import load_model as reload
from walras.models.export.reloading import read_export
from walras.models.loading import Head, load, torch_device
from walras.models.resources.timing import interleaved

WEIGHTS = "model.safetensors"
COLUMNS = [
    "name", "model", "device", "threads", "batch", "length", "dense_ms", "small_ms", "aa", "speedup", "mac_ratio",
    "speedup_share", "dense_macs", "macs", "dense_parameters", "parameters", "dense_bytes", "bytes",
]  # fmt: skip


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs or of exports.")],
    model: Annotated[str | None, typer.Option(help="Dense model of exports; runs know theirs.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Rows of a batch; several times. [default: 32]")] = None,
    length: Annotated[int, typer.Option(help="Tokens of a row.", min=1)] = 128,
    passes: Annotated[int, typer.Option(help="Passes of each model.", min=1)] = 20,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("runs/export_speed.csv"),
) -> None:
    """Measure, print the table, write it as CSV."""
    try:
        place = torch_device(device)
        rows = [
            measure(folder.name, case, place, size, length, passes)
            for folder in folders
            for case in [pair(folder, model)]
            for size in batch or [32]
        ]
    except WalrasError as error:
        fail(error)
    table = pd.DataFrame(rows, columns=COLUMNS)
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False, float_format="%.6g")
    output().print(table.T.to_string(header=False))


@final
class Pair(NamedTuple):
    """Two models that are compared."""

    dense: nn.Module
    small: nn.Module
    model: str  # name of the dense one
    bytes: int  # of the small one's weights file


def pair(folder: Path, model: str | None) -> Pair:
    """The dense model of a run or export, and the small one as it is reloaded.

    Raises:
        InputError: neither a run nor an export, or an export and no `--model`.
    """
    if (folder / "result.json").is_file():
        summary, config = read_run(folder)
        dense, tokenizer, small = small_model(folder, config)
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / "small"
            write(dense, small, tokenizer, place, summary, Form())
            return Pair(dense, reload(place), config.subject.model, (place / WEIGHTS).stat().st_size)
    names = [str(name) for name in read_export(folder)["architectures"]]
    if model is None:
        raise InputError(f"export {str(folder)!r} does not hold the dense model: give it with --model")
    kind: Head = "base"
    if names[0].endswith(("ForCausalLM", "LMHeadModel")):
        kind = "causal"
    elif names[0].endswith("ForSequenceClassification"):
        kind = "classification"
    return Pair(load(model, kind, device="cpu").model, reload(folder), model, (folder / WEIGHTS).stat().st_size)


def measure(name: str, case: Pair, device: torch.device, rows: int, length: int, passes: int) -> list[Any]:
    """One row of the table."""
    dense, small = case.dense.to(device), case.small.to(device)
    batch = tokens(dense, rows, length, device)
    first, second, took = interleaved([partial(m, **batch) for m in (dense, dense, small)], passes)
    compute = [macs(m, inventory(m, block=1), length).dense for m in (dense, small)]
    speedup, ratio = first / took, compute[0] / compute[1]
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return [
        name, case.model, what, torch.get_num_threads(), rows, length, first * 1e3, took * 1e3, second / first, speedup,
        ratio, speedup / ratio, *compute, parameters(dense), parameters(small),
        sum(p.numel() * p.element_size() for p in dense.parameters()), case.bytes,
    ]  # fmt: skip


def tokens(model: nn.Module, rows: int, length: int, device: torch.device) -> dict[str, Tensor]:
    """A batch `[rows, length]` of random tokens without padding."""
    config: Any = model.config
    ids = torch.randint(3, int(config.vocab_size), (rows, length), generator=torch.Generator().manual_seed(0)).to(
        device
    )
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


if __name__ == "__main__":
    typer.run(main)
