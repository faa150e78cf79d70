"""What a squared unit of a feature or of an activated gate is worth: three ways to tell, and room for one's own."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.objective import Batch, Objective
from walras.models.tokens.token_map import TokenMap
from walras.models.units.projections import outputs_first
from walras.registry import Registry
from walras.user_code import user_code

Worths = Mapping[str, Tensor]
"""By path of the map: [n], one number per bidder."""


class TokenValuation(ABC):
    """What bidders of every map are worth; a bid is signal^2 * worth per multiplication that it buys."""

    @abstractmethod
    def __call__(
        self, model: nn.Module, maps: Sequence[TokenMap], batches: Iterable[Batch], objective: Objective, seed: int
    ) -> Worths:
        """The worths of all maps.

        Args:
            model: the dense network.
            maps: those that are traded.
            batches: calibration data.
            objective: the loss that is to be kept.
            seed: of whatever is random about the loss.
        """


@final
@dataclass(frozen=True)
class FisherWorth(TokenValuation):
    """The expected squared slope of the loss, from one backward pass over the calibration data.

    Without feature j of a map y = W x, y changes by -x_j W_:j, and the loss, to second order under the diagonal of
    the Fisher information of y, by x_j^2 sum_o W_oj^2 E[(dL/dy_o)^2] / 2, the mean being over tokens. Without neuron
    j, whose output is h_j = act(gate_j) u_j, by act(gate_j)^2 E[(u_j dL/dh_j)^2] / 2. The factor of one half is left
    out. With E[(W_:j . dL/dy)^2] in place of the diagonal SmolLM2-135M has the same perplexity at half of the budget.
    """

    def __call__(
        self, model: nn.Module, maps: Sequence[TokenMap], batches: Iterable[Batch], objective: Objective, seed: int
    ) -> Worths:
        """Means over all tokens of all batches."""
        sums = {m.path: torch.zeros(m.outputs, dtype=torch.float64) for m in maps}  # of squared slopes
        tokens = 0
        trainable = [p for p in model.parameters() if p.requires_grad]
        generator = torch.Generator().manual_seed(seed)
        with ExitStack() as stack:
            for parameter in trainable:  # slopes of weights would double the memory
                parameter.requires_grad_(False)
                stack.callback(parameter.requires_grad_, True)
            stack.callback(_start_gradients(model).remove)
            for traded in maps:
                handle = _watch(model, traded, sums[traded.path])
                stack.callback(handle.remove)
            for batch in batches:
                tokens += int(batch["attention_mask"].sum()) if "attention_mask" in batch else _count(batch)
                samples = len(next(iter(batch.values()))) // objective.rows
                loss = objective(model, batch, generator) * samples
                torch.autograd.backward(loss)
        return {m.path: _of_bidders(model, m, sums[m.path] / tokens) for m in maps}


@final
@dataclass(frozen=True)
class ColumnNorm(TokenValuation):
    """The squared length of what the bidder buys: |x_j| times the norm of its column, as in WINA (arXiv 2505.19427).

    A neuron's is that of its column in the map behind it, since its gate multiplies that column.
    """

    def __call__(
        self, model: nn.Module, maps: Sequence[TokenMap], batches: Iterable[Batch], objective: Objective, seed: int
    ) -> Worths:
        """Nothing but weights is looked at."""
        del batches, objective, seed
        norms = {m.path: outputs_first(model.get_submodule(m.path)).float().square().sum(0) for m in maps}
        behind = {m.layer: norms[m.path] for m in maps if m.name == "down"}
        return {m.path: behind[m.layer] if m.signal else norms[m.path] for m in maps}


@final
@dataclass(frozen=True)
class Magnitude(TokenValuation):
    """Every worth is 1: bids are squared activations, as in TEAL (arXiv 2408.14690) and CATS (arXiv 2404.08763)."""

    def __call__(
        self, model: nn.Module, maps: Sequence[TokenMap], batches: Iterable[Batch], objective: Objective, seed: int
    ) -> Worths:
        """Ones."""
        del model, batches, objective, seed
        return {m.path: torch.ones(m.bidders) for m in maps}


def worths_of(
    valuation: TokenValuation,
    model: nn.Module,
    maps: Sequence[TokenMap],
    batches: Iterable[Batch],
    objective: Objective,
    seed: int,
) -> Worths:
    """What a valuation says, checked.

    Raises:
        UserCodeError: a valuation of the user's own raised an error.
        InputError: worths that are missing, of the wrong shape, below 0, or no finite numbers; the map is named.
    """
    name = type(valuation).__name__
    with nullcontext() if type(valuation).__module__.startswith("walras.") else user_code(f"token valuation {name}"):
        found = valuation(model, maps, batches, objective, seed)
    checked: dict[str, Tensor] = {}
    for traded in maps:
        worth = found.get(traded.path) if isinstance(found, Mapping) else None
        if not isinstance(worth, Tensor) or tuple(worth.shape) != (traded.bidders,):
            told = f"of shape {[*worth.shape]}" if isinstance(worth, Tensor) else f"{type(worth).__name__}"
            raise InputError(f"token valuation {name}: {traded.path} is {told}; it must be a tensor [{traded.bidders}]")
        worth = worth.detach().float()
        if not bool(worth.isfinite().all()) or bool((worth < 0).any()):
            raise InputError(f"token valuation {name}: {traded.path} has worths below 0, or that are no finite numbers")
        checked[traded.path] = worth
    return checked


TOKEN_VALUATIONS: Registry[TokenValuation] = Registry(
    "token valuation", TokenValuation, group="walras.token_valuations"
)
"""Worths of bidders inside a token, by name."""
TOKEN_VALUATIONS.add(FisherWorth, "fisher")
TOKEN_VALUATIONS.add(ColumnNorm, "column-norm")
TOKEN_VALUATIONS.add(Magnitude, "magnitude")


def _start_gradients(model: nn.Module) -> Any:
    """Let slopes flow although no weight wants one: from the embeddings on."""

    def ask(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.requires_grad_() if output.is_floating_point() else output

    return model.get_input_embeddings().register_forward_hook(ask)  # type: ignore[operator]  # of a PreTrainedModel


def _watch(model: nn.Module, traded: TokenMap, total: Tensor) -> Any:
    """Add up squared slopes of every token: of what a map writes or, for neurons, of act(gate), which is u dL/dh."""

    def slopes(_: nn.Module, args: Any, output: Any) -> None:
        def add(slope: Tensor) -> None:
            total.add_(slope.reshape(-1, slope.shape[-1]).float().square().sum(0).double().cpu())

        output.register_hook(add)

    return model.get_submodule(traded.signal or traded.path).register_forward_hook(slopes)


def _of_bidders(model: nn.Module, traded: TokenMap, squares: Tensor) -> Tensor:
    """Worths [bidders] from mean squared slopes [outputs]."""
    if traded.signal:
        return squares.float()
    weight = outputs_first(model.get_submodule(traded.path)).detach().double().cpu()
    return (squares @ weight.square()).float()


def _count(batch: Batch) -> int:
    return int(next(iter(batch.values())).shape[:2].numel())
