"""Derivatives of the loss of a batch, of a network that is left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layer_paths, submodule
from walras.models.objective import Batch, Objective


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients of the weights; afterwards every part is as it was."""
    learning = [p for p in model.parameters() if p.requires_grad]
    training = [m for m in model.modules() if m.training]
    try:
        model.eval()
        for p in learning:
            p.requires_grad_(False)
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)
        for m in training:
            m.training = True


@contextmanager
def recorded_from(model: nn.Module, layer: int) -> Iterator[None]:
    """Record what gradients need in the layers from `layer` on only; those below run without."""
    if layer == 0:
        yield
        return
    entering = submodule(model, layer_paths(model)[layer])
    with torch.no_grad():
        handle = entering.register_forward_pre_hook(_switch_gradients_on)
        try:
            yield
        finally:
            handle.remove()


def _switch_gradients_on(module: nn.Module, args: object) -> None:
    """The context that switched gradients off restores what was before."""
    del module, args
    torch.set_grad_enabled(True)


def samples_of(batch: Batch, objective: Objective) -> int:
    """Samples of a batch.

    Raises:
        InputError: its rows do not divide into samples.
    """
    samples, left_over = divmod(_rows(batch), objective.rows)
    if left_over:
        raise InputError(f"a batch of {_rows(batch)} rows does not divide into samples of {objective.rows} rows")
    return samples


def loss_gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Gradient of a finite loss with respect to each tensor; 0 where it does not depend on one of them.

    Raises:
        InputError: a loss that is not finite, or depends on none of them.
    """
    if not loss.isfinite():
        raise InputError(f"the loss of a calibration batch is {loss.item()}; it must be finite")
    asked = [x for x in tensors if x.requires_grad]
    found = torch.autograd.grad(loss, asked, allow_unused=True) if loss.requires_grad else [None] * len(asked)
    if all(gradient is None for gradient in found):
        raise InputError("the loss does not depend on the model's output; it cannot value any unit")
    by_tensor = dict(zip(map(id, asked), found, strict=True))
    return [torch.zeros_like(x) if (own := by_tensor.get(id(x))) is None else own for x in tensors]


def _rows(batch: Batch) -> int:
    """Rows that go through the model: of the input, or else of the first tensor of a batch."""
    for name in ("input_ids", "inputs_embeds", "pixel_values", "input_features"):
        if name in batch:
            return len(batch[name])
    return len(next(iter(batch.values())))
