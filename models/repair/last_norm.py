"""The last norm of a language model, re-fitted to what the dense network predicts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from walras.models.architectures import layer_paths, submodule, transformer
from walras.models.objective import Batch, tokens_of
from walras.models.repair.hooks import Stop, take_from
from walras.models.repair.streams import inputs, real_tokens
from walras.models.units.gates import hooked

TOKENS_PER_NUMBER = 4
_ROWS, _DRAWS, _HALVINGS = 256, 8, 3


@final
class Divergence(NamedTuple):
    """KL(dense || now) of the next token in nats, mean over the tokens of the fit."""

    before: float
    after: float


@torch.no_grad()
def refit_last_norm(
    model: nn.Module, dense: nn.Module, batches: Sequence[Batch], ridge: float, generator: torch.Generator
) -> Divergence | None:
    """Change the weights of the norm in front of a language model's head, in place; None where there is no such norm.

    Logits are W (w * x + b): W the head, x what the norm makes of a token, w and b its weight and bias, the only
    numbers that change. So KL(dense || now) is convex in them, and one step of Fisher scoring is taken:

    1. g = mean of J' W' (p - q), F = mean of J' W' (diag p - p p') W J, with q and p what the dense network and this
       one predict, and J the slope of w * x + b. F comes from 8 tokens drawn from each p. Means are over 4 tokens for
       every number that is fitted, or all there are, taken evenly from the batches.
    2. The step is -(F + s I)^-1 (g + s (w - w_dense)), s being `ridge` times the mean of F's diagonal. It is halved,
       three times at most, until the divergence on these tokens is less than before; else nothing changes.

    Networks whose head reads anything but a norm's output, or whose logits are not what their head writes, stay as
    they are. Gates that are attached apply. Both networks must be in evaluation mode.

    Args:
        model: the network that is changed.
        dense: the one that it came from.
        batches: calibration data.
        ridge: as said, above 0.
        generator: of the draws, on the CPU.
    """
    chosen = _norm_of(model, batches[0])
    if chosen is None:
        return None
    path, norm, head = chosen
    own = [norm.get_parameter(name) for name in ("weight", "bias") if getattr(norm, name, None) is not None]
    target = [submodule(dense, path).get_parameter(name).flatten() for name in ("weight", "bias")[: len(own)]]
    fit = _Fit(head, dense.get_submodule(_head_path(dense)), *_tokens(model, dense, path, batches, len(own)))
    now, first = torch.cat([p.flatten() for p in own]).to(fit.scaled), torch.cat(target).to(fit.scaled)
    before, slope, fisher = fit.scored(torch.zeros_like(now), generator)
    pull = ridge * fisher.diagonal().mean().clamp(min=torch.finfo(fisher.dtype).tiny)
    pulled = fisher + pull * torch.eye(len(fisher), dtype=fisher.dtype, device=fisher.device)
    step = -torch.linalg.solve(pulled, slope + pull * (now - first).to(slope)).to(now)
    for halved in range(_HALVINGS + 1):
        change = step * 0.5**halved
        after = fit.divergence(change)
        if after < before:
            for parameter, values in zip(own, (now + change).chunk(len(own)), strict=True):
                parameter.copy_(values.to(parameter))
            return Divergence(before, after)
    return Divergence(before, before)


def last_norms(model: nn.Module) -> list[nn.Module]:
    """The modules beside the layers of a language model that may be the norm in front of its head."""
    language: Any = transformer(model)
    if language.get_output_embeddings() is None or language.config.is_encoder_decoder:
        return []
    beside = submodule(model, layer_paths(model)[0].rpartition(".")[0].rpartition(".")[0])
    weights = ((module, getattr(module, "weight", None)) for module in beside.children())
    return [module for module, weight in weights if isinstance(weight, nn.Parameter) and weight.ndim == 1]


@final
@dataclass(frozen=True, eq=False)
class _Fit:
    """The divergence of the predictions as a function of a change [m] of the norm's weight, and of its bias if any."""

    head: nn.Module
    dense_head: nn.Module
    scaled: Tensor  # x [tokens, d]
    read: Tensor  # what goes into the head now [tokens, d]
    wanted: Tensor  # what goes into the dense network's head [tokens, d]

    def _predicted(self, change: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Some tokens at a time: x [t, d], and log-probabilities q and p [t, words]."""
        weight, *bias = torch.split(change, self.scaled.shape[1])
        parts = (torch.split(tensor, _ROWS) for tensor in (self.scaled, self.read, self.wanted))
        for x, now, wanted in zip(*parts, strict=True):
            read = now + x * weight + (bias[0] if bias else 0.0)
            yield x, _logits(self.dense_head, wanted).log_softmax(-1), _logits(self.head, read).log_softmax(-1)

    def divergence(self, change: Tensor) -> float:
        """KL(dense || now)."""
        total = sum(float((q.exp() * (q - p)).sum()) for _, q, p in self._predicted(change))
        return total / len(self.scaled)

    def scored(self, change: Tensor, generator: torch.Generator) -> tuple[float, Tensor, Tensor]:
        """KL, its gradient [m], and the Fisher information [m, m] by draws, in float64."""
        words = self.head.get_parameter("weight").to(change.dtype)
        total, bias = 0.0, len(change) > self.scaled.shape[1]
        slope = change.new_zeros(len(change), dtype=torch.float64)
        fisher = change.new_zeros(len(change), len(change), dtype=torch.float64)
        for x, q, p in self._predicted(change):
            total += float((q.exp() * (q - p)).sum())
            mean = p.exp() @ words
            drawn = torch.multinomial(p.exp().cpu(), _DRAWS, replacement=True, generator=generator).to(words.device)
            slope += _slopes(mean - q.exp() @ words, x, bias).double().sum(0)
            scores = _slopes(words[drawn] - mean.unsqueeze(1), x.unsqueeze(1), bias).flatten(0, 1).double()
            fisher += scores.T @ scores / _DRAWS
        return total / len(self.scaled), slope / len(self.scaled), fisher / len(self.scaled)


def _slopes(read: Tensor, x: Tensor, bias: bool) -> Tensor:
    """Slopes [..., m] with respect to weight and bias, of those [..., d] with respect to what the head reads."""
    return torch.cat([read * x, read], -1) if bias else read * x


def _logits(head: nn.Module, read: Tensor) -> Tensor:
    """What the head writes, in float32 at least."""
    written: Tensor = head(read.to(head.get_parameter("weight").dtype))
    return written.to(torch.promote_types(written.dtype, torch.float32))


def _norm_of(model: nn.Module, batch: Batch) -> tuple[str, nn.Module, nn.Module] | None:
    """The norm whose output the head reads, with its path, and the head; None where there is none such."""
    norms = last_norms(model)
    if not norms:
        return None
    head, seen = model.get_submodule(_head_path(model)), dict[nn.Module, Tensor]()
    row = {name: tensor[:1] for name, tensor in inputs(model, batch).items()}
    read, written = list[Tensor](), list[Tensor]()
    watched = [_keep(norm, seen) for norm in norms]
    with hooked([*watched, take_from(head, read.append, before=True), take_from(head, written.append, before=False)]):
        logits = getattr(model(**row), "logits", None)
    found = [norm for norm, out in seen.items() if read and _is(out, read[-1])]
    if len(found) != 1 or logits is None or not written or not torch.equal(logits, written[-1].to(logits)):
        return None
    path = next(name for name, module in model.named_modules() if module is found[0])
    return (path, found[0], head) if _scales(found[0], seen[found[0]]) else None


def _keep(norm: nn.Module, seen: dict[nn.Module, Tensor]) -> Any:
    return take_from(norm, lambda out: seen.__setitem__(norm, out), before=False)


def _is(one: Tensor, other: Tensor) -> bool:
    """Whether both are one tensor, or views of all of it."""
    return one.shape == other.shape and one.data_ptr() == other.data_ptr()


def _scales(norm: nn.Module, state: Tensor) -> bool:
    """Whether what a norm writes is a multiple of its weight, feature by feature, plus what does not hang on it."""
    by = _normed(norm)
    return torch.allclose(by(state, 2.0), 2 * by(state, 1.0), rtol=1e-3, atol=1e-4)


def _normed(norm: nn.Module) -> Callable[[Tensor, float], Tensor]:
    """By how much a norm's output grows when all of its weights grow by so much, in float32 at least."""
    wide = {name: p.to(torch.promote_types(p.dtype, torch.float32)) for name, p in norm.named_parameters()}

    def grown(state: Tensor, by: float) -> Tensor:
        more = {**wide, "weight": wide["weight"] + by}
        state = state.to(wide["weight"].dtype)
        found: Tensor = functional_call(norm, more, (state,)) - functional_call(norm, wide, (state,))
        return found

    return grown


def _tokens(
    model: nn.Module, dense: nn.Module, path: str, batches: Sequence[Batch], parts: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of tokens, what a weight of the norm is multiplied by, what it writes, and what the dense network's writes."""
    norm = submodule(model, path)
    wanted = TOKENS_PER_NUMBER * parts * norm.get_parameter("weight").numel()
    every = max(1, sum(map(tokens_of, batches)) // wanted)
    found, count = list[tuple[Tensor, Tensor, Tensor]](), 0
    for place in range(0, len(batches), every):
        state, read = _passing(model, norm, batches[place])
        _, target = _passing(dense, submodule(dense, path), batches[place])
        scaled = _normed(norm)(state, 1.0)
        found.append((scaled, read.to(scaled.dtype), target.to(scaled.dtype)))
        count += len(scaled)
        if count >= wanted:
            break
    scaled, read, target = (torch.cat(parts)[:wanted] for parts in zip(*found, strict=True))
    return scaled, read, target


def _passing(model: nn.Module, norm: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """What goes into a network's last norm, and what comes out of it, on the real tokens [tokens, d]."""
    state, read = list[Tensor](), list[Tensor]()
    handles = [take_from(norm, state.append, before=True), take_from(norm, read.append, before=False, stop=True)]
    with hooked(handles), suppress(Stop):
        model(**inputs(model, batch))
    return real_tokens(state[0], batch), real_tokens(read[0], batch)


def _head_path(model: nn.Module) -> str:
    """Where the head is below a model."""
    language: Any = transformer(model)
    head = language.get_output_embeddings()
    return next(str(name) for name, module in model.named_modules() if module is head)
