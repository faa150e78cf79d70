"""A transformer in which every layer has as many heads, FFN neurons and experts as are left of it.

`SlicedX` is the class X of transformers, made smaller as its configuration says: `per_layer_config` has the counts of
each layer, `walras` the names of the modules that shrink. This file lies beside the weights of every exported model.
"""

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

PREFIX = "Sliced"


def __getattr__(name: str) -> Any:
    """The class `SlicedX` for any class X of transformers; made once."""
    found = made_of(name, PREFIX, SlicedNetwork, __name__)
    globals()[name] = found
    return found


def made_of(name: str, prefix: str, more: type, home: str) -> type:
    """The class of transformers that a name is of behind its prefix, with what a module at home adds to it."""
    stock: Any = getattr(transformers, name.removeprefix(prefix), None) if name.startswith(prefix) else None
    if not (isinstance(stock, type) and issubclass(stock, transformers.PreTrainedModel)):
        raise AttributeError(f"module {home!r} has no attribute {name!r}")
    told: dict[str, Any] = {"__module__": home, "__doc__": f"{stock.__name__}, {prefix.lower()}."}
    for ask in ("_can_set_attn_implementation", "_can_set_experts_implementation"):
        told[ask] = getattr(stock, ask)  # transformers would look for it in the source of this file
    return type(name, (more, stock), told)


class SlicedConfig(transformers.PreTrainedConfig):  # type: ignore[no-untyped-call]  # transformers has no types there
    """Configurations of sliced models: of the class X in memory, in `config.json` of a type that transformers refuses,
    for its own classes would leave weights that do not fit random."""

    model_type = "walras"

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """The configuration of the class X, with what this file needs beside it."""
        told, unused = cls.get_config_dict(*args, **kwargs)
        kind = str(told["walras"].get("family", told["model_type"]))  # the latter in exports before there was the first
        if kind not in transformers.CONFIG_MAPPING:
            raise ValueError(f"config.json has the family {kind!r}, which this transformers does not know")
        return transformers.CONFIG_MAPPING[kind].from_dict({**told, "model_type": kind}, **unused)

    def to_dict(self) -> dict[str, Any]:
        """What is written; a Trainer looks for the number of layers by this name."""
        return {"num_hidden_layers": self.num_hidden_layers, **super().to_dict()}


class SlicedNetwork:
    """What `SlicedX` adds to the class X."""

    config: Any
    config_class = SlicedConfig

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]  # of the class that it is mixed with
        shrink(self)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Write weights under the names that they have here.

        Transformers would rename and split them back into what the original checkpoint had, of which layers of
        different sizes cannot be read again.
        """
        kwargs.setdefault("save_original_format", False)
        stock = type(self.config)
        self.config.__class__ = type(stock.__name__, (SlicedConfig, stock), {"_auto_class": None})
        try:
            return super().save_pretrained(*args, **kwargs)  # type: ignore[misc]  # of the class that it is mixed with
        finally:
            self.config.__class__ = stock

    def _get_static_cache_init_shape(self) -> None:
        """Layers differ in heads, so that a static cache takes its sizes from the first keys it is given."""


def shrink(model: Any) -> None:
    """Cut a model of stock size down to the counts in its configuration, in place; which weights stay is arbitrary.

    Raises:
        ValueError: counts that no slicing of this model can lead to.
    """
    layout: Mapping[str, Any] = model.config.walras
    layers = list(model.base_model.get_submodule(layout["layers"]).children())
    for index, path in layout.get("biases", ()):
        add_bias(layers[index].get_submodule(path))
    for index, layer in enumerate(layers):
        told = model.config.per_layer_config[index]
        _shrink_attention(layer, index, layout, told)
        mixture, ffn = layout.get("mixture"), layout["ffn"]
        if mixture is not None and mixture["experts"] in dict(layer.named_modules()):
            _shrink_experts(layer, index, mixture, told)
            ffn = mixture["shared"]
        if ffn is not None:
            _check_count(index, "ffn_neurons", told.ffn_neurons, sizes(layer.get_submodule(ffn["output"]))[0])
            _resize_sublayer(layer, ffn, {"ffn_in": told.ffn_neurons}, told.ffn_neurons)


def _shrink_attention(layer: nn.Module, index: int, layout: Mapping[str, Any], told: Any) -> None:
    """Cut the attention of one layer down to `told.attention_heads`."""
    output = layer.get_submodule(layout["heads"]["output"])
    size = int(getattr(layer.get_submodule(layout["attention"]), layout["head_size"]))
    stock = {"heads": sizes(output)[0] // size, "groups": 0}
    for path, parts in layout["heads"]["inputs"]:
        if "key" in parts:
            stock["groups"] = sizes(layer.get_submodule(path))[1] // len(parts) // size
    heads = told.attention_heads
    groups = getattr(told, "key_value_heads", heads)
    _check_heads(index, stock, heads, groups)
    counts = {"query": heads * size, "key": groups * size, "value": groups * size}
    _resize_sublayer(layer, layout["heads"], counts, heads * size)
    rows = getattr(told, "position_bias_heads", None)
    if rows is not None:
        fit = len(rows) == heads and set(rows) <= set(range(stock["heads"]))
        _check(fit, index, f"position_bias_heads = {rows}", f"{heads} different numbers below {stock['heads']}")
    tell_attention(layer, layout, index, heads, rows)


def _resize_sublayer(layer: nn.Module, sublayer: Mapping[str, Any], counts: Mapping[str, int], features: int) -> None:
    """Cut the maps of a sub-layer down to `counts` of each part and the output projection to `features`."""
    for path, parts in sublayer["inputs"]:
        resize(layer.get_submodule(path), outputs=sum(counts[part] for part in parts))
    resize(layer.get_submodule(sublayer["output"]), inputs=features)
    if features == 0:
        empty(layer, [path for path, _ in sublayer["inputs"]], sublayer["output"])


def _shrink_experts(layer: nn.Module, index: int, mixture: Mapping[str, Any], told: Any) -> None:
    """Cut the mixture of one layer down to `told.experts` experts."""
    experts: Any = layer.get_submodule(mixture["experts"])
    _check_count(index, "experts", told.experts, int(experts.num_experts))
    for module, names in ((experts, mixture["weights"]), (layer.get_submodule(mixture["router"]), ["weight"])):
        for name in names:
            setattr(module, name, nn.Parameter(module.get_parameter(name).detach()[: told.experts].clone()))
    tell_experts(layer, mixture, told.experts)


def _check_heads(layer: int, stock: Mapping[str, int], heads: Any, groups: Any) -> None:
    """Refuse counts of heads that no slicing of the layer can lead to."""
    _check_count(layer, "attention_heads", heads, stock["heads"])
    _check_count(layer, "key_value_heads", groups, stock["groups"])
    valid = f"{stock['heads'] // max(stock['groups'], 1)} for each, since only whole groups can be sliced"
    fit = heads * stock["groups"] == groups * stock["heads"]
    _check(fit, layer, f"attention_heads = {heads} with key_value_heads = {groups}", valid)


def _check_count(layer: int, name: str, count: Any, most: int) -> None:
    """Refuse a count that is not a whole number from 0 to that of the stock model."""
    whole = isinstance(count, int) and not isinstance(count, bool)
    _check(whole and 0 <= count <= most, layer, f"{name} = {count!r}", f"a whole number from 0 to {most}")


def _check(fit: bool, layer: int, told: str, valid: str) -> None:
    if not fit:
        raise ValueError(f"layer {layer}: {told}; valid: {valid}")


def tell_attention(
    layer: nn.Module, layout: Mapping[str, Any], index: int, heads: int, bias_heads: Sequence[int] | None
) -> None:
    """Bring the attention module of layer number `index` in line with the query heads that are left.

    `bias_heads` are the rows that belong to them, where the family adds a bias to the scores.
    """
    path, output = str(layout["attention"]), str(layout["heads"]["output"])
    attention = layer.get_submodule(path)
    size = int(getattr(attention, layout["head_size"]))
    if heads == 0:
        inside = output.startswith(f"{path}.")
        name = output.removeprefix(f"{path}.") if inside else ""
        silent = HeadlessAttention(layer.get_submodule(output) if inside else None, name, layout["cache"], index)
        layer.set_submodule(path, silent.train(attention.training))
        attention = silent
        setattr(attention, layout["head_size"], size)
    elif bias_heads is not None:
        if not hasattr(attention, "bias_heads"):
            own = functools.partial(_own_bias, layout["head_bias"])
            attention.register_forward_pre_hook(own, with_kwargs=True)
        setattr(attention, "bias_heads", list(bias_heads))  # noqa: B010  # mypy refuses an assignment
    for attribute, counted in layout["counters"].items():
        setattr(attention, attribute, {"heads": heads, "features": heads * size}[counted])


def tell_experts(layer: Any, mixture: Mapping[str, Any], count: int) -> None:
    """Bring the router and the experts of a layer, whose weights have been cut, in line with the experts left.

    A token gets all of them where they are fewer than it would get.
    """
    router, experts = layer.get_submodule(mixture["router"]), layer.get_submodule(mixture["experts"])
    if count == 0:
        layer.set_submodule(mixture["router"], NoRouter().train(router.training))
        layer.set_submodule(mixture["experts"], NoExperts().train(experts.training))
        return
    if not hasattr(router, "stock_experts"):
        router.stock_experts = int(router.num_experts)
        router.register_forward_hook(_padded, prepend=True)  # before those hooks that record logits
    router.top_k = min(int(router.top_k), count)
    router.num_experts = experts.num_experts = count


def _padded(module: Any, _: Any, output: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Hook: logits of -inf for experts that were removed, since the auxiliary loss stacks those of all layers."""
    logits, weights, index = output
    gone = logits.new_full((len(logits), module.stock_experts - logits.shape[-1]), -torch.inf)
    return torch.cat([logits, gone], -1), weights, index


class NoRouter(nn.Module):
    """Stands in for the router of a layer all of whose experts were removed."""

    num_experts = 0
    top_k = 0

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, weights and indices `[tokens, 0]` for states `[tokens, hidden]`."""
        nothing = hidden_states.new_zeros(hidden_states.shape[:-1].numel(), 0)
        return nothing, nothing, nothing.long()


class NoExperts(nn.Module):
    """Stands in for the experts of a layer all of which were removed: what is left is a shared expert, or nothing."""

    num_experts = 0

    def forward(self, hidden_states: Tensor, *_: Any) -> Tensor:
        """Zeros `[tokens, hidden]`."""
        return torch.zeros_like(hidden_states)


def resize(module: Any, *, inputs: int | None = None, outputs: int | None = None) -> None:
    """Keep only the first input or output features of a linear map, in place."""
    conv = isinstance(module, Conv1D)  # GPT-2 keeps the transposed weight
    for count, dim, attribute in (
        (inputs, 0 if conv else 1, "nx" if conv else "in_features"),
        (outputs, 1 if conv else 0, "nf" if conv else "out_features"),
    ):
        if count is not None:
            module.weight = nn.Parameter(module.weight.detach().narrow(dim, 0, count).clone())
            setattr(module, attribute, count)
    if outputs is not None and module.bias is not None:
        module.bias = nn.Parameter(module.bias.detach()[:outputs].clone())


def add_bias(module: Any) -> None:
    """Give a linear map that has no bias one of zeros, which is told of it from then on."""
    weight, module.added_bias = module.weight, True
    module.bias = nn.Parameter(weight.detach().new_zeros(sizes(module)[1]), requires_grad=weight.requires_grad)


def empty(layer: nn.Module, inputs: Iterable[str], output: str) -> None:
    """Put `Emptied` in the place of the maps of a sub-layer that has no units left."""
    for path in (*inputs, output):
        layer.set_submodule(path, Emptied(layer.get_submodule(path), path == output))


class Emptied(nn.Module):
    """A linear map to no features, or (`last`) from none, of which the bias is left.

    It is no `nn.Linear`, so that whoever changes each of a model (int8, LoRA) passes by. The weight keeps its name.
    """

    def __init__(self, module: Any, last: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = sizes(module)
        weight = module.weight.detach().new_empty(self.out_features, 0) if last else module.weight.detach()
        self.weight, self.bias = nn.Parameter(weight, requires_grad=module.weight.requires_grad), module.bias
        self.added_bias = bool(getattr(module, "added_bias", False))
        self.train(module.training)

    def forward(self, states: Tensor) -> Tensor:
        """The bias, or zeros, `[..., outputs]` for `[..., inputs]`."""
        zeros = states.new_zeros(*states.shape[:-1], self.out_features)
        return zeros if self.bias is None else zeros + self.bias


class HeadlessAttention(nn.Module):
    """Stands in for an attention module all of whose heads were removed.

    Stock modules cannot run without heads. Returns what they return, `(output, weights)`: the output projection's bias
    where attention holds that projection, else features of width 0 for the projection that follows; no dropout.
    """

    def __init__(self, projection: nn.Module | None, name: str, cache: str, layer: int) -> None:
        super().__init__()
        if projection is not None:
            self.add_module(name, projection)  # under its old name, for the state dict
        self.projection, self.cache, self.layer = name, cache, layer

    def forward(self, hidden_states: Tensor, *_: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """`[batch, length, hidden]` to `[batch, length, hidden]` or `[batch, length, 0]`; no weights."""
        cache = kwargs.get(self.cache)
        if cache is not None:
            # A cache counts the tokens so far by its first layer's keys: one number a token keeps the count.
            token = hidden_states.new_zeros(len(hidden_states), 1, hidden_states.shape[1], 1)
            cache.update(token, token, self.layer)
        nothing = hidden_states.new_zeros(*hidden_states.shape[:-1], 0)
        return (self.get_submodule(self.projection)(nothing) if self.projection else nothing), None


def _own_bias(argument: str, module: Any, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hook: pass on the rows of a bias `[batch, heads, query, key]` that belong to the heads that are left."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    bias = bound.arguments.get(argument)
    if bias is not None:
        bound.arguments[argument] = bias[:, torch.tensor(module.bias_heads, device=bias.device)]
    return bound.args, bound.kwargs


def sizes(module: Any) -> tuple[int, int]:
    """Number of input and of output features of a linear map."""
    return (module.nx, module.nf) if isinstance(module, Conv1D) else (module.in_features, module.out_features)
