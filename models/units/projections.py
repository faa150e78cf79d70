"""Linear maps as transformers spells them: their sizes, and cutting rows or columns out of them."""

from typing import NamedTuple, final

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from walras.errors import InputError
from walras.models.export.modeling_walras import Emptied, sizes


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
