"""Networks whose units cannot be traded are refused when their units are counted, and the module is named."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from transformers import BertConfig, BertLMHeadModel, GPT2Config, GPT2LMHeadModel

from walras.errors import InputError
from walras.models import inventory
from walras.models.units.tradable import check_loaded

SIZES: dict[str, Any] = {
    "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip


class Own(nn.Linear):
    """A subclass, such as libraries of quantised layers have."""


class Adapter(nn.Module):
    """What peft puts in the place of a linear map."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base_layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.base_layer(x)


@pytest.fixture
def model(tiny: Any) -> Any:
    return copy.deepcopy(tiny("bert").model)


def put(path: str, make: Callable[[Any], nn.Module]) -> Callable[[Any], object]:
    return lambda model: model.set_submodule(path, make(model.get_submodule(path)))


def own(module: nn.Module) -> nn.Module:
    module.__class__ = Own
    return module


QUERY, WIDE = "bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.1.intermediate.dense"
NARROW = "bert.encoder.layer.1.output.dense"
prune_smallest: Any = prune.l1_unstructured  # torch gives it no types


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(NARROW, own), rf"{NARROW} is a \S+\.Own, out of which no unit can be cut; valid: Linear, Conv1D itself"),
        (put(WIDE, own), rf"{WIDE} is a \S+\.Own"),
        (put(QUERY, Adapter), rf"{QUERY} is a \S+\.Adapter, .*; merge the adapter into the model first"),
        (put(QUERY, parametrizations.weight_norm), rf"{QUERY} is a \S*ParametrizedLinear"),
        (put(WIDE, lambda m: prune_smallest(m, "weight", 0.5)), rf"{WIDE} has no parameter 'weight' of its own"),
        (put(WIDE, lambda m: nn.Linear(24, 48)), rf"{WIDE} writes 48 features \(ffn_in\) where 40 are read"),
        (put(QUERY, lambda m: nn.Linear(24, 18)), rf"{QUERY} writes 18 features \(query\) where 24 are read"),
        (
            put("bert.encoder.layer.1.attention.self.key", lambda m: nn.Linear(24, 18)),
            r"layer\.1\.attention\.self\.(key|value) writes \d+ features",
        ),
        (
            lambda m: setattr(m.bert.encoder.layer[1].output.dense, "in_features", 41),
            rf"{NARROW} has a weight of shape",
        ),
        (
            lambda m: m.bert.encoder.layer.__setitem__(1, m.bert.encoder.layer[0]),
            r"layer\.1\.attention\.self\.query is the same module as bert\.encoder\.layer\.0\.attention\.self\.query",
        ),
        (
            lambda m: setattr(m.bert.encoder.layer[1].output, "dense", m.bert.encoder.layer[0].output.dense),
            r"layer\.1\.output\.dense is the same module as bert\.encoder\.layer\.0\.output\.dense",
        ),
        (
            lambda m: setattr(m.config, "quantization_config", {"quant_method": "gptq"}),
            r"BertForSequenceClassification is quantised \(gptq",
        ),
    ],
)
def test_modules_that_cannot_be_cut(model: Any, change: Callable[[Any], object], message: str) -> None:
    change(model)
    with pytest.raises(InputError, match=message):
        inventory(model)


def test_int8_names_the_module(model: Any) -> None:
    class Packed(nn.Module):
        """As torch's dynamic int8: called Linear, and none."""

        in_features = out_features = 24

    Packed.__qualname__ = Packed.__name__ = "Linear"
    Packed.__module__ = "torch.ao.nn.quantized.dynamic.modules.linear"
    put(QUERY, lambda m: Packed())(model)
    with pytest.raises(InputError, match=rf"{QUERY} is a torch\.ao\.nn\.quantized\.dynamic\.modules\.linear\.Linear"):
        inventory(model)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(BertLMHeadModel, BertConfig(**SIZES, is_decoder=True, add_cross_attention=True)),
     (GPT2LMHeadModel, GPT2Config(**SIZES, add_cross_attention=True))],
)  # fmt: skip
def test_cross_attention_is_refused(kind: Any, config: Any) -> None:
    with pytest.raises(
        InputError, match=r"has cross-attention \(add_cross_attention\), whose heads are neither traded"
    ):
        inventory(kind(config))


def test_a_network_without_numbers(model: Any) -> None:
    check_loaded(model)
    with pytest.raises(InputError, match=r"has no weights: bert\.\S+ is on the meta device; load them first"):
        check_loaded(model.to("meta"))
