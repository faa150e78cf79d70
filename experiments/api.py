"""From Python: a market on a model, data and loss of the user's own."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from walras.agents import STRATEGIES, VALUATIONS, Strategy, UnitAgent, Valuation
from walras.errors import InputError, UnknownNameError
from walras.experiments.bidding import find_strategy
from walras.experiments.budgets import check_path, check_rule
from walras.experiments.config import RunConfig
from walras.experiments.floor import Floor
from walras.experiments.plugins import build, find_class
from walras.experiments.recipes import resolved
from walras.experiments.result import Result
from walras.experiments.run import Recorder, figures, finish
from walras.experiments.store.run_folder import RunFolder
from walras.experiments.tasks.losses import Embeddings, OwnPredictions
from walras.experiments.tasks.text import from_texts
from walras.market import ComputeMarket, Shock, budget_path
from walras.mechanisms import MECHANISMS, Mechanism
from walras.models import gated
from walras.models.objective import Batch, GivenLoss, ModelLoss, Objective
from walras.models.repair.table import REPAIRS, Repair

Loss = Callable[[nn.Module, Batch], Tensor]
SETTINGS = (
    "recipe", "repair", "scope", "sublayers", "rearranged", "price", "rounds", "schedule", "reentry", "block", "length",
    "sentences", "batch_size", "seed", "resource", "latency_batch", "latency_table", "endowment", "probes",
)  # fmt: skip


def run(
    model: nn.Module,
    tokenizer: Any,
    data: Sequence[str] | Iterable[Batch],
    *,
    loss: Loss | Objective | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    mechanism: Mechanism | str | None = None,
    valuation: Valuation | str | None = None,
    strategy: Strategy | str | None = None,
    budget: float | Mapping[str, float] = 0.5,
    out: str | Path | None = None,
    overwrite: bool = False,
    agents: Mapping[str, type[UnitAgent]] | None = None,
    **settings: Any,
) -> Result:
    """Let the units of your model trade compute, and get back which of them stay.

    Args:
        model: a Hugging Face transformer of a known family.
        tokenizer: its tokenizer; None where `data` are batches.
        data: texts, or batches (dicts of tensors as the model takes them, e.g. a DataLoader).
        loss: function of the model and a batch that returns the mean loss over the batch's samples. Without one it
            is the model's own loss where batches hold labels, and else how far the model's outputs move.
        evaluate: the figure to report, of the model as it is; without one it is the agreement with the dense model
            on texts that were held out, or the mean loss where data are batches.
        mechanism, valuation, strategy: objects, or names as on the command line; what is left out the recipe says,
            and without one it is ShadowPrice, fisher, truthful.
        budget: share of the dense model's compute that may be used at the end; or shares by resource, of which there
            are "macs", "parameters" and "latency": `{"macs": 0.5, "latency": 0.6}`.
        out: folder for trace, report and result.
        overwrite: replace a run that is there.
        agents: agent classes of your own by kind of unit ("head", "ffn").
        settings: recipe, repair, scope, sublayers, rearranged, price, rounds, schedule, reentry, block, length,
            sentences, batch_size, seed, resource, latency_batch, latency_table, endowment, probes, as on the command
            line. Your model's weights are never changed: a repair works on a copy, which the result holds.
    """
    setup = _Setup(model, tokenizer, data, loss, _config(budget, settings))
    rule, worth, bidding = setup.resolve(mechanism, valuation, strategy)
    names: dict[str, Any] = {
        "mechanism": type(rule).__name__, "valuation": type(worth).__name__.lower(), "strategy": bidding.name,
        "task": "own data", "model": type(model).__name__,
    }  # fmt: skip
    config = replace(setup.config, **names)
    folder = None if out is None else RunFolder(out, overwrite)
    with _evaluating(model):
        report = setup.score(evaluate)
        dense = report(model)
        floor = setup.floor if setup.repair is None else replace(setup.floor, model=copy.deepcopy(model))
        record = None if folder is None else Recorder(folder, config)
        traders = setup.market(floor, rule, worth, bidding, agents, record)
        for _ in traders.sessions:
            traders.step()
        with gated(floor.model, floor.units, traders.gates):
            value = report(floor.model)
    name, better = (setup.metric, setup.task is not None) if evaluate is None else ("evaluate", None)
    metric = {"name": name, "dense": dense, "value": value, "higher_is_better": better}
    summary = {
        **names, "seed": config.seed, **figures(traders, setup.floor, worth, setup.budgets), "metric": metric
    }  # fmt: skip
    place = None if folder is None else folder.path
    result = Result(floor.model, floor.units, floor.macs, traders, metric, summary, place, model, tokenizer)
    if folder is not None:
        finish(folder, result, config.block)
    return result


def open_market(
    model: nn.Module,
    tokenizer: Any,
    data: Sequence[str] | Iterable[Batch],
    *,
    loss: Loss | Objective | None = None,
    mechanism: Mechanism | str | None = None,
    valuation: Valuation | str | None = None,
    strategy: Strategy | str | None = None,
    budget: float | Mapping[str, float] = 0.5,
    agents: Mapping[str, type[UnitAgent]] | None = None,
    shocks: Sequence[Shock] = (),
    **settings: Any,
) -> ComputeMarket:
    """The market of `run` as a Mesa model, to be stepped and looked into by yourself. Keep a reference to the model.

    `shocks` strike before some of the rounds: `walras.market.Disable` and `NewTask`, or your own.
    """
    setup = _Setup(model, tokenizer, data, loss, _config(budget, settings))
    if setup.repair is not None:
        raise InputError(f"repair is {setup.config.repair}, which needs a copy of the model to work on: use walras.run")
    return setup.market(setup.floor, *setup.resolve(mechanism, valuation, strategy), agents, None, shocks)


class _Setup:
    """Units, batches, objective and metric of a model and data."""

    def __init__(self, model: nn.Module, tokenizer: Any, data: Any, loss: Any, config: RunConfig) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {type(model).__name__}; it must be a loaded transformer (torch.nn.Module)")
        self.model, self.config, self.tokenizer = model, config, tokenizer
        self.floor = Floor.of(model, config.block, config.length)
        self.budgets = self.floor.budgets(config)
        self.sizes = {"batch_size": config.batch_size, "length": config.length}
        if isinstance(data, str):
            raise InputError("data is one string; give a list of texts, or batches")
        items = list(data)
        if not items:
            raise InputError("data is empty; give at least two texts, or one batch")
        self.task = from_texts(_texts(items)) if isinstance(items[0], str) else None
        if not self.task:
            _check_batches(items)
        self.batches: list[Batch] = (
            self.task.calibration(tokenizer, sentences=config.sentences, seed=config.seed, **self.sizes)
            if self.task else items
        )  # fmt: skip
        self.objective = self._objective(loss)
        self.metric = self.task.metric if self.task else f"loss ({self.objective.unit})"
        self.repair: Repair | None = None
        if config.repair != "none":
            self.repair = build("repair", find_class("repair", config.repair, REPAIRS, Repair))

    def _objective(self, loss: Any) -> Objective:
        if isinstance(loss, Objective):
            return loss
        if loss is not None:
            return GivenLoss(loss)
        if self.task:
            return self.task.objective(self.model, label_free=False)
        if "labels" in self.batches[0]:
            return ModelLoss()
        with torch.no_grad():
            outputs = self.model(**self.batches[0])
        return OwnPredictions() if hasattr(outputs, "logits") else Embeddings()

    def score(self, evaluate: Callable[[nn.Module], float] | None) -> Callable[[nn.Module], float]:
        """What is to be asked of the dense and of the smaller model."""
        if evaluate is not None:
            return lambda model: _figure(evaluate, model)
        task = self.task
        if task is None:
            return self._mean_loss
        reference = task.reference(self.model, self.tokenizer, **self.sizes)
        return lambda model: task.evaluate(model, self.tokenizer, reference, **self.sizes)

    @torch.no_grad()
    def _mean_loss(self, model: nn.Module) -> float:
        generator = torch.Generator().manual_seed(self.config.seed)
        losses = [float(self.objective(model, batch, generator)) for batch in self.batches]
        return sum(losses) / len(losses)

    def resolve(self, mechanism: Any, valuation: Any, strategy: Any) -> tuple[Mechanism, Valuation, Strategy]:
        """The objects that names stand for."""
        rule = _made("mechanism", mechanism or self.config.mechanism, MECHANISMS, Mechanism, self.config.price)
        check_rule(rule, self.config)
        wanted = strategy if strategy is not None else self.config.strategy
        bidding = find_strategy(wanted) if isinstance(wanted, str) else _made("strategy", wanted, STRATEGIES, Strategy)
        return (
            rule,
            _made("valuation", valuation if valuation is not None else self.config.valuation, VALUATIONS, Valuation),
            bidding,
        )

    def market(
        self, floor: Floor, mechanism: Mechanism, valuation: Valuation, strategy: Strategy, agents: Any, record: Any,
        shocks: Sequence[Shock] = (),
    ) -> ComputeMarket:  # fmt: skip
        """The market, ready for its first step."""
        config = self.config
        return floor.market(
            self.objective, self.batches, valuation, mechanism,
            budgets=self.budgets, rounds=config.rounds, schedule=config.schedule, strategy=strategy,
            endowment=config.endowment, seed=config.seed, agents=agents, reentry=config.reentry,
            sublayers=config.sublayers, rearranged=config.rearranged, dense=self.model, repair=self.repair,
            scope=config.scope, probes=config.probes,
            record=record, shocks=shocks,
        )  # fmt: skip


def _texts(items: Sequence[Any]) -> Sequence[str]:
    """Items that must all be texts."""
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise InputError(f"data[{i}] is {type(item).__name__}, and data[0] is a text; all must be texts")
    return items


def _check_batches(items: Sequence[Any]) -> None:
    """Refuse batches that a Hugging Face model does not take."""
    for i, item in enumerate(items):
        if not (isinstance(item, Mapping) and item):
            raise InputError(
                f"data[{i}] is {type(item).__name__}; a batch must be a dict of tensors, as the model takes it"
            )


def _made(kind: str, wanted: Any, known: Mapping[str, type[Any]], base: type[Any], price: float | None = None) -> Any:
    """The object itself, or one of the class of that name."""
    if isinstance(wanted, base):
        if price is not None:
            raise InputError(f"price is {price:g} beside a {type(wanted).__name__} of your own; set the price on it")
        return wanted
    if not isinstance(wanted, str):
        raise InputError(f"{kind} is {wanted!r}; it must be a {base.__name__} or the name of one: {', '.join(known)}")
    return build(kind, find_class(kind, wanted, known, base), price=price)


def _config(budget: float | Mapping[str, float], settings: Mapping[str, Any]) -> RunConfig:
    """The settings, names and budget checked."""
    for name in settings:
        if name not in SETTINGS:
            raise UnknownNameError("setting", name, SETTINGS)
    config = resolved({"budget": budget, **settings})
    for share in config.shares.values():
        check_path(budget_path(share, config.rounds, config.schedule), config)
    return config


@torch.no_grad()
def _figure(evaluate: Callable[[nn.Module], float], model: nn.Module) -> float:
    """What the user's function says of the model, checked to be a number."""
    found = evaluate(model)
    try:
        figure = float(found)
    except (TypeError, ValueError) as error:
        raise InputError(f"evaluate returned {found!r}; it must be a number") from error
    if not math.isfinite(figure):
        raise InputError(f"evaluate returned {figure}; it must be a finite number")
    return figure


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, so that no unit drops out by chance; afterwards every part is as it was."""
    training = [m for m in model.modules() if m.training]
    model.eval()
    try:
        yield
    finally:
        for m in training:
            m.training = True
