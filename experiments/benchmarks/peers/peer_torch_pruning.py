"""Torch-Pruning (Fang et al. 2023, arXiv 2301.12900), as released, with its Taylor importance."""

import copy
import importlib.util
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.experiments.benchmarks.peers.peer import Case, Peer, counted_macs, ratios
from walras.models.architectures import layer_paths, submodule

INSTALL = "pip install torch-pruning==1.6.1 (or walras[peers])"


class TorchPruning(Peer):
    """Group Taylor importance, one ratio for heads and FFN neurons. BERT's module names."""

    everywhere: ClassVar[bool]

    def missing(self) -> str:
        """The pip line, where the package is absent."""
        return "" if importlib.util.find_spec("torch_pruning") else f"torch-pruning is not installed: {INSTALL}"

    def smaller(self, case: Case, macs: float) -> nn.Module:
        """Its pruner at the ratios that leave `macs`."""
        gradients = accumulated(case)

        @cache
        def left(heads: float, ffn: float) -> float:
            return counted_macs(pruned(case, gradients, heads, ffn, self.everywhere), case.length)

        return pruned(case, gradients, *ratios(left, macs), self.everywhere)


@final
@dataclass(frozen=True)
class Local(TorchPruning):
    """The same number of heads and FFN neurons leaves every layer."""

    name: ClassVar[str] = "torch-pruning-local"
    everywhere: ClassVar[bool] = False


@final
@dataclass(frozen=True)
class Global(TorchPruning):
    """Heads, and FFN neurons, of all layers are ranked together."""

    name: ClassVar[str] = "torch-pruning-global"
    everywhere: ClassVar[bool] = True


def accumulated(case: Case) -> dict[str, Tensor]:
    """Gradient of the loss, summed over the calibration batches, by name of the parameter."""
    model = copy.deepcopy(case.model)
    generator = torch.Generator().manual_seed(0)
    for batch in case.batches:
        case.objective(model, batch, generator).backward()  # type: ignore[no-untyped-call]  # torch's method
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def pruned(case: Case, gradients: dict[str, Tensor], heads: float, ffn: float, everywhere: bool) -> nn.Module:
    """A copy of the model after one step of the pruner.

    Only inner dimensions may go: whatever writes to the residual stream is ignored, as is the pooler, which is not
    used. The step slices the projections but leaves the attention's own counters to the user.

    Args:
        case: what is pruned.
        gradients: of its loss, by name of the parameter.
        heads: share of the heads to remove.
        ffn: share of the FFN neurons to remove.
        everywhere: whether all layers are ranked together.
    """
    import torch_pruning as tp

    model: Any = copy.deepcopy(case.model)
    for name, parameter in model.named_parameters():
        parameter.grad = gradients.get(name)
    layers = [submodule(model, path) for path in layer_paths(model)]
    attention: list[Any] = [submodule(layer, "attention.self") for layer in layers]
    ignored = [submodule(layer, path) for layer in layers for path in ("attention.output.dense", "output.dense")]
    tokens = torch.ones(1, 8, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parameters that it does not prune
        pruner = tp.pruner.BasePruner(
            model,
            {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)},
            importance=tp.importance.GroupTaylorImportance(),
            global_pruning=everywhere,
            pruning_ratio=ffn,
            head_pruning_ratio=heads,
            num_heads={p: a.num_attention_heads for a in attention for p in (a.query, a.key, a.value)},
            prune_num_heads=True,
            prune_head_dims=False,
            ignored_layers=[*ignored, model.embeddings, *([model.pooler] if model.pooler is not None else [])],
            output_transform=lambda output: output.last_hidden_state,
        )
        pruner.step()
    model.zero_grad(set_to_none=True)
    for module in attention:
        module.num_attention_heads = module.query.out_features // module.attention_head_size
        module.all_head_size = module.query.out_features
    result: nn.Module = model
    return result
