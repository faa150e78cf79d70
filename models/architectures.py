"""The layers of a network, and the modules in them, found by the row of its family."""

from dataclasses import dataclass
from typing import final

from torch import nn
from transformers import PreTrainedModel

from walras.errors import InputError, UnknownNameError
from walras.models.families import ARCHITECTURES as ARCHITECTURES
from walras.models.families import EXAMPLE, Architecture, Mixture, SubLayer


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a network, and the row that says where its family keeps what is in it."""

    module: nn.Module
    path: str  # below the model that it was taken from
    index: int
    row: Architecture

    def at(self, path: str) -> nn.Module:
        """The module at a path below the layer.

        Raises:
            InputError: there is none.
        """
        try:
            return self.module.get_submodule(path)
        except AttributeError as error:
            raise InputError(f"{self.path} has no module {path!r}: {error}") from None

    @property
    def mixture(self) -> Mixture | None:
        """The family's mixture of experts, where this layer has it."""
        mixture = self.row.mixture
        if mixture is None:
            return None
        try:
            self.module.get_submodule(mixture.experts)
        except AttributeError:  # a dense layer
            return None
        return mixture

    @property
    def ffn(self) -> SubLayer | None:
        """The FFN that every token passes: of a dense layer its FFN, of a mixture its shared expert, if it has one."""
        mixture = self.mixture
        return self.row.ffn if mixture is None else mixture.shared

    def below(self, path: str) -> str:
        """The path below the layer of a path below the model."""
        return path.removeprefix(f"{self.path}.")


def layers_of(model: nn.Module) -> tuple[Layer, ...]:
    """The layers of a model from the bottom to the top.

    Raises:
        UnknownNameError, InputError: as `layer_paths`.
    """
    row = architecture(model)
    return tuple(Layer(submodule(model, path), path, index, row) for index, path in enumerate(layer_paths(model)))


def architecture(model: nn.Module) -> Architecture:
    """The row of the model's family.

    Raises:
        UnknownNameError: the family is in no row; the message shows what a row has to say.
        InputError: `model` holds no Hugging Face transformer, or several.
    """
    return family(str(transformer(model).config.model_type))


def family(kind: str) -> Architecture:
    """The row of the family that a checkpoint's `config.json` calls `model_type`.

    Raises:
        UnknownNameError: as `architecture`.
    """
    if kind not in ARCHITECTURES:
        hint = f"To add it: walras.models.ARCHITECTURES.add(row, {kind!r}), with a row such as BERT's: {EXAMPLE}"
        raise UnknownNameError("family", kind, ARCHITECTURES, hint)
    found: Architecture = ARCHITECTURES[kind]
    return found


def layer_paths(model: nn.Module) -> tuple[str, ...]:
    """Path of every layer below `model`, which may be a base model, one with a head, or a module around one.

    Raises:
        UnknownNameError: as `architecture`.
        InputError: as `architecture`, and where the layers are not at their path.
    """
    row = architecture(model)
    outer, pretrained = _pretrained(model)
    base = next(name for name, module in pretrained.named_modules() if module is pretrained.base_model)
    path = ".".join(name for name in (outer, base, row.layers) if name)
    layers = submodule(model, path)
    if not isinstance(layers, nn.ModuleList) or len(layers) == 0:
        raise InputError(f"{type(pretrained).__name__} should have its layers at {path!r}; found {layers}")
    return tuple(f"{path}.{i}" for i in range(len(layers)))


def submodule(model: nn.Module, path: str) -> nn.Module:
    """The module at `path`, or an error that names the path and the model."""
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise InputError(f"{type(model).__name__} has no module {path!r}: {error}") from None


def transformer(model: nn.Module) -> PreTrainedModel:
    """The one Hugging Face transformer inside `model`.

    Raises:
        InputError: it holds none, or several.
    """
    return _pretrained(model)[1]


def _pretrained(model: nn.Module) -> tuple[str, PreTrainedModel]:
    """The outermost Hugging Face model inside `model`, with its path; exactly one must be there."""
    found: list[tuple[str, PreTrainedModel]] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") or not outer for outer, _ in found)
        if isinstance(module, PreTrainedModel) and not inside:
            found.append((name, module))
    if len(found) != 1:
        names = ", ".join(f"{name} ({type(module).__name__})" for name, module in found) or "none"
        raise InputError(f"{type(model).__name__} must hold one Hugging Face transformer; found: {names}")
    return found[0]
