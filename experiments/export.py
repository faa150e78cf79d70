"""From a finished run, or an outcome in memory, to a folder with the smaller model."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.pipeline import parameters
from walras.experiments.progress import Progress, Silent
from walras.experiments.reports.model_card import model_card
from walras.experiments.settings.names import NONE
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_file import check_result
from walras.experiments.store.result_folder import FILES
from walras.experiments.store.run_folder import NETWORK, WEIGHTS, check_hashes, read_allocation, read_result, read_units
from walras.experiments.subjects.subject import OWN, find_task
from walras.files.tensors import check_finite, read_arrays
from walras.models import Inventory, compact, inventory
from walras.models.architectures import layers_of
from walras.models.export.checkpoints import auto_class, check_class, check_target, per_layer, save
from walras.models.export.gguf_file import check_gguf, check_package, write_gguf
from walras.models.export.modeling_walras import add_bias
from walras.models.export.onnx_file import check_packages, checked_onnx
from walras.models.fingerprint import fingerprint
from walras.models.loading import load

if TYPE_CHECKING:
    from walras.experiments.outcome import Outcome

INPUTS = {"pixel_values": "AutoImageProcessor", "input_features": "AutoProcessor"}
"""Classes of transformers that load what makes a network's inputs, where those are no texts."""
_OWN_DATA = "own data"  # the task of earlier runs that were made from Python


@final
@dataclass(frozen=True)
class Form:
    """How an export is written.

    Attributes:
        onnx: with a file `model.onnx` besides.
        gguf: with a file `model.gguf` besides.
        stock: as a model of transformers' own class, without code; refused where layers differ.
        overwrite: in the place of an export that is there.
    """

    onnx: bool = False
    gguf: bool = False
    stock: bool = False
    overwrite: bool = False


def export_run(
    run: str | Path,
    out: str | Path,
    *,
    onnx: bool = False,
    gguf: bool = False,
    stock: bool = False,
    overwrite: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
    code: Collection[Any] = (),
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Write the smaller model of a finished run to a folder, whole or not at all; what `--json` prints comes back.

    The run's folder is data, whoever wrote it: only `code` and `trust_remote_code` let files of Python run.

    Raises:
        InputError: an unfinished run or none, another folder than an export in the way, a full disk, ...
    """
    summary, spec = read_run(run, code)
    check_target(out, overwrite)
    if onnx:
        check_packages()
    if gguf:
        check_package()
    form = Form(onnx=onnx, gguf=gguf, stock=stock, overwrite=overwrite)
    progress = progress or Silent()
    step = progress.add_task("Loading the model", total=3 if onnx else 2)
    dense, tokenizer, small = small_model(run, spec, device, trust_remote_code=trust_remote_code)
    progress.update(step, advance=1, description="Writing")
    figures = write(dense, small, tokenizer, out, summary, form)
    progress.update(step, advance=2)
    return {"run": str(run), **figures}


def export_outcome(outcome: "Outcome", out: str | Path, tokenizer: Any, form: Form) -> dict[str, Any]:
    """The same for a run in memory."""
    check_target(out, form.overwrite)
    if form.onnx:
        check_packages()
    return write(outcome.dense, outcome.compact(), tokenizer, out, outcome.summary.as_dict(), form)


def write(
    dense: nn.Module,
    small: nn.Module,
    tokenizer: Any,
    out: str | Path,
    summary: Mapping[str, Any],
    form: Form,
) -> dict[str, Any]:
    """Write the folder; the figures of it come back."""
    check_class(small)
    if form.gguf:
        check_gguf(small)
    place = Path(out)
    layers = per_layer(small)
    counts = {"parameters": parameters(small), "dense_parameters": parameters(dense)}
    name, auto = place.resolve().name, auto_class(small)
    inputs = "" if tokenizer is None else INPUTS.get(str(getattr(small, "main_input_name", "")), "AutoTokenizer")
    card = model_card({**summary, **counts}, name, auto, per_layer(dense), layers, stock=form.stock, inputs=inputs)
    found: dict[str, Any] = {}

    def add(draft: Path) -> None:
        if form.onnx:
            names = tuple(tokenizer.model_input_names) if tokenizer is not None else (small.main_input_name,)
            found["onnx_difference"] = checked_onnx(small, names, draft / "model.onnx")
        if form.gguf:
            found["gguf"] = write_gguf(small, tokenizer, draft / "model.gguf")

    save(small, tokenizer, place, card=card, overwrite=form.overwrite, stock=form.stock, more=add)
    files = sorted(p for p in place.rglob("*") if p.is_file())
    return {
        "out": str(out), "class": type(small).__name__, "stock": form.stock, **counts,
        "macs": summary["macs"], "dense_macs": summary["dense_macs"], "metric": dict(summary["metric"]),
        "bytes": {str(p.relative_to(place)): p.stat().st_size for p in files}, "per_layer_config": layers, **found,
    }  # fmt: skip


def read_run(run: str | Path, code: Collection[Any] = ()) -> tuple[dict[str, Any], RunSpec]:
    """Result and settings of a finished run from the command line; its settings name no code but this.

    Raises:
        InputError: no such run, one that has not finished or was changed, or one whose model only Python knows.
    """
    summary = check_result(read_result(run), f"{str(run)!r} is no run of walras: its result.json")
    parts = [name for name in ("config.yaml", "allocation.safetensors") if not (Path(run) / name).is_file()]
    if parts:
        raise InputError(f"{str(run)!r} is no run of walras: it has no {parts[0]}")
    check_hashes(run, summary)
    model = str(summary["model"])
    if model.endswith(OWN) or summary["task"] == _OWN_DATA:
        raise InputError(
            f"run {str(run)!r} was made from Python on a {model.removesuffix(OWN).strip()} of your own, which the "
            "folder does not hold; export it there: result.export(DIR)"
        )
    return summary, RunSpec.read(Path(run) / "config.yaml", {}, code)


def small_model(
    run: str | Path, spec: RunSpec, device: str = "cpu", *, trust_remote_code: bool = False
) -> tuple[nn.Module, Any, nn.Module]:
    """The stock model, its tokenizer, and the model that the run left: sliced, with its repaired weights.

    Raises:
        InputError: files of the run that do not fit the model, or are missing.
    """
    name = spec.subject.model
    dense, tokenizer = load(
        name, find_task(spec.subject).head,
        device=device, dtype=spec.subject.dtype, trust_remote_code=trust_remote_code,
    )  # fmt: skip
    result = read_result(run)
    written = result.get(NETWORK)
    if written is not None and written != fingerprint(dense):
        raise InputError(f"model {name!r} has other weights than when run {str(run)!r} was made of it")
    block, kinds, columns = _allocation(run)
    units = inventory(dense, spec.market.units or None, block)
    _check_units(run, name, units, kinds, columns)
    keep = torch.from_numpy(columns["gate"] > 0)
    small = compact(dense, units, keep)
    if (Path(run) / WEIGHTS).is_file():
        _restore_repaired(run, small)
    elif FILES not in result and spec.market.repair != NONE and not bool(keep.all()):  # hashes tell of it else
        raise InputError(f"run {str(run)!r} repaired its weights ({spec.market.repair}), and its {WEIGHTS} is missing")
    return dense, tokenizer, small


def _allocation(run: str | Path) -> tuple[int, list[str], dict[str, Any]]:
    """FFN neurons per unit, names of the kinds of units, and the columns of a run's allocation."""
    return *read_units(run), read_allocation(run)


def _check_units(run: str | Path, model: str, units: Inventory, kinds: list[str], columns: Mapping[str, Any]) -> None:
    """Refuse an allocation of other units than the model has."""
    codes = np.array([kinds.index(kind) if kind in kinds else -1 for kind in units.kind])
    expected = {"kind": codes, "layer": units.layer, "index": units.index, "width": units.width}
    for name, values in expected.items():
        found = columns.get(name, np.zeros(0))
        if found.shape != values.shape or not np.array_equal(found, values):
            raise InputError(
                f"the allocation of run {str(run)!r} is of another model than {model!r}: "
                f"its column {name!r} [{len(found)}] is not that of the model's {len(units)} units"
            )


@torch.no_grad()
def _restore_repaired(run: str | Path, small: nn.Module) -> None:
    """Overwrite the tensors that repair changed."""
    file = Path(run) / WEIGHTS
    state = small.state_dict()
    tensors = read_arrays(file, "repaired weights", "pt")
    check_finite(tensors, str(file))
    for name, tensor in tensors.items():
        if name not in state and name.endswith(".bias"):
            state |= _with_bias(small, name)
        if name not in state or state[name].shape != tensor.shape:
            has = f"{[*state[name].shape]} there" if name in state else "no such tensor"
            raise InputError(f"{file}: {name} {[*tensor.shape]} does not fit the sliced model, which has {has}")
        state[name].copy_(tensor)


def _with_bias(small: nn.Module, name: str) -> dict[str, Tensor]:
    """The bias of that name, of zeros, where a sub-layer's output projection can be given one; else nothing."""
    path = name.removesuffix(".bias")
    for layer in layers_of(small):
        for sublayer in (layer.row.heads, layer.ffn):
            if sublayer is not None and f"{layer.path}.{sublayer.output}" == path:
                add_bias(layer.at(sublayer.output))
                return {name: small.get_parameter(name).data}
    return {}
