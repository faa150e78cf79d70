"""Linear maps as transformers spells them: their sizes, and cutting rows or columns out of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, final

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from walras.errors import InputError
from walras.models.export.modeling_walras import Emptied, sizes
from walras.models.replaced_forward import replaced_forward


@final
class _Layout(NamedTuple):
    """Dimensions of the weight, and the attributes that repeat their sizes."""

    outputs: int
    inputs: int
    output_count: str
    input_count: str


_LAYOUTS: dict[type[nn.Module], _Layout] = {
    nn.Linear: _Layout(0, 1, "out_features", "in_features"),
    Conv1D: _Layout(1, 0, "nf", "nx"),  # GPT-2 keeps the transposed weight
}


def features(module: nn.Module) -> tuple[int, int]:
    """Number of input and of output features of a linear map, one with an adapter, or what is left of one."""
    module = getattr(module, "base_layer", module)
    if not isinstance(module, Emptied):
        _layout(module)
    return sizes(module)


def plain_map(module: nn.Module) -> bool:
    """Whether it is a linear map and nothing else: no adapter, nothing quantised or computed, no forward put on it."""
    return type(module) in _LAYOUTS and "forward" not in vars(module) and "weight" in module._parameters


def outputs_first(module: nn.Module) -> Tensor:
    """The weight [outputs, inputs] of a linear map, detached."""
    return written(module).detach()


def written(module: nn.Module) -> Tensor:
    """The weight [outputs, inputs] of a linear map, with its gradients; column j is what input j writes.

    Of a map with an adapter it is the weight below.
    """
    module = getattr(module, "base_layer", module)
    weight = module.get_parameter("weight")
    return weight if _layout(module).outputs == 0 else weight.T


def cut(module: nn.Module, *, outputs: Tensor | None = None, inputs: Tensor | None = None) -> None:
    """Keep only these output or input features (LongTensors of indices) of a linear map, in place.

    Raises:
        InputError: the module is a quantised or adapted map, whose weights cannot be cut one by one.
    """
    if type(module) not in _LAYOUTS:
        names = ", ".join(kind.__name__ for kind in _LAYOUTS)
        raise InputError(f"cannot slice a {type(module).__name__}; valid: {names} itself")
    layout = _layout(module)
    for index, dim, count in (
        (outputs, layout.outputs, layout.output_count),
        (inputs, layout.inputs, layout.input_count),
    ):
        if index is not None:
            _select(module, "weight", dim, index)
            setattr(module, count, len(index))
    if outputs is not None and module.bias is not None:
        _select(module, "bias", 0, outputs)


@contextmanager
def narrowed(module: nn.Module, *, outputs: Tensor | None = None, inputs: Tensor | None = None) -> Iterator[None]:
    """Within the context a linear map writes only these output features, or reads only these input features.

    Others count as 0. It multiplies by the weights as they are at each call. A quantised or adapted map, and one of
    which nothing is left, stays as it is.
    """
    if type(module) not in _LAYOUTS:
        yield
        return
    device = written(module).device
    written_ones, read_ones = (None if index is None else index.to(device) for index in (outputs, inputs))
    with replaced_forward(module, partial(_in_part, module, written_ones, read_ones)):
        yield


def _in_part(module: Any, outputs: Tensor | None, inputs: Tensor | None, x: Tensor) -> Tensor:
    """A linear map of some of its features."""
    weight, bias = written(module), module.bias
    if inputs is not None:
        x, weight = x.index_select(-1, inputs), weight.index_select(1, inputs)
    if outputs is None:
        return F.linear(x, weight, bias)
    found = F.linear(x, weight.index_select(0, outputs), None if bias is None else bias.index_select(0, outputs))
    return found.new_zeros(*x.shape[:-1], features(module)[1]).index_copy_(-1, outputs, found)


def check_map(module: nn.Module, path: str) -> None:
    """Refuse what is no plain linear map: features cannot be cut out of it one by one.

    Raises:
        InputError: naming the path and the class.
    """
    if isinstance(module, Emptied):
        return
    names, kind = ", ".join(known.__name__ for known in _LAYOUTS), type(module)
    if kind not in _LAYOUTS:
        hint = "; merge the adapter into the model first" if hasattr(module, "base_layer") else ""
        raise InputError(
            f"{path} is a {kind.__module__}.{kind.__qualname__}, out of which no unit can be cut; valid: {names} "
            f"itself{hint}"
        )
    if "weight" not in dict(module.named_parameters(recurse=False)):
        raise InputError(
            f"{path} has no parameter 'weight' of its own: it is computed, as by torch.nn.utils.prune; make it "
            "one first (prune.remove, remove_parametrizations)"
        )
    shape = tuple(module.get_parameter("weight").shape)
    told = features(module) if _LAYOUTS[kind].outputs else features(module)[::-1]
    if shape != told:
        raise InputError(f"{path} has a weight of shape {[*shape]}, and by its attributes {[*told]}")


def _select(module: nn.Module, name: str, dim: int, index: Tensor) -> None:
    old = module.get_parameter(name)
    kept = old.detach().index_select(dim, index.to(old.device))
    setattr(module, name, nn.Parameter(kept, requires_grad=old.requires_grad))


def _layout(module: nn.Module) -> _Layout:
    for kind, layout in _LAYOUTS.items():
        if isinstance(module, kind):
            return layout
    names = ", ".join(kind.__name__ for kind in _LAYOUTS)
    raise InputError(f"a projection must be a {names}, not {type(module).__name__}")
