"""A model as an ONNX file, checked against the model itself."""

import importlib.util
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.extras import installing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
LARGEST = 1_500_000_000  # bytes of weights inside the file, which must stay below 2 GiB
OUTPUTS = ("logits", "last_hidden_state")  # the one of them that the model has is exported
Batch = Mapping[str, Tensor]


def check_packages() -> None:
    """Refuse where the packages that ONNX needs are not installed.

    Raises:
        InputError: with the line that installs them.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"--onnx needs {', '.join(missing)}: {installing('onnx', *missing)}")


def example(model: nn.Module, names: tuple[str, ...], rows: int, length: int) -> dict[str, Tensor]:
    """A batch of random tokens `[rows, length]`, the last row padded by a third, with the inputs `names`.

    Raises:
        InputError: the model takes something else than text.
    """
    if "input_ids" not in names:
        raise InputError(f"--onnx writes models of text; {type(model).__name__} takes {', '.join(names)}")
    config: Any = model.config
    draw = torch.Generator().manual_seed(rows * length)
    ids = torch.randint(3, int(config.vocab_size), (rows, length), generator=draw)
    mask = torch.ones_like(ids)
    mask[-1, length - length // 3 :] = 0
    ids[mask == 0] = config.pad_token_id or 0
    batch = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in names:
        batch["token_type_ids"] = torch.zeros_like(ids)
    return batch


def write_onnx(model: nn.Module, batch: Batch, file: Path) -> None:
    """Export the model with any number of rows and tokens; inputs are named as in `batch` `[rows, length]`."""
    exported, output = _Output(model, tuple(batch)), _output(model, batch)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        logger.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                exported, tuple(batch.values()), file, dynamo=True, external_data=size > LARGEST, verbose=False,
                input_names=list(batch), output_names=[output], dynamic_shapes={"inputs": tuple(axes for _ in batch)},
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            first = (str(error).strip() or "?").splitlines()[0]
            raise InputError(f"PyTorch cannot write {type(model).__name__} as ONNX: {first}") from error
        finally:
            logger.setLevel(level)


def difference(model: nn.Module, batch: Batch, file: Path) -> float:
    """Largest difference between what onnxruntime makes of the file on a batch and what the model says."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
    with torch.no_grad():
        expected = _Output(model, tuple(batch))(*batch.values()).float().numpy()
    real = batch["attention_mask"].numpy().astype(bool)
    apart = np.abs(found.astype(np.float32) - expected)
    return float(apart[real].max() if apart.shape[:2] == real.shape else apart.max())  # what stands on padding is free


def checked_onnx(model: nn.Module, names: tuple[str, ...], file: Path) -> float:
    """Write the model and compare on batches of other sizes than it was traced with; the largest difference.

    Raises:
        InputError: it differs by more than `TOLERANCE`.
    """
    write_onnx(model, example(model, names, 2, 16), file)
    worst = max(difference(model, example(model, names, *size), file) for size in ((1, 7), (3, 24)))
    if not worst <= TOLERANCE:
        raise InputError(
            f"the ONNX file of {type(model).__name__} differs from the model by {worst:.2g}; at most {TOLERANCE:g}"
        )
    return worst


def _output(model: nn.Module, batch: Batch) -> str:
    """Which output the model has."""
    with torch.no_grad():
        outputs = model(**batch)
    return next(name for name in OUTPUTS if getattr(outputs, name, None) is not None)


@final
class _Output(nn.Module):
    """A model with one output and inputs by position."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        """The logits `[...]` or last hidden states `[rows, length, hidden]`."""
        outputs: Any = self.model(**dict(zip(self.names, inputs, strict=True)))
        found: Tensor = next(x for name in OUTPUTS if (x := getattr(outputs, name, None)) is not None)
        return found
