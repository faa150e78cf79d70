"""From Python: a market on a model, data and loss of the user's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from walras.agents import STRATEGIES, VALUATIONS, Strategy, UnitAgent, Valuation
from walras.errors import InputError
from walras.experiments.config import RunConfig, checked
from walras.experiments.floor import Floor
from walras.experiments.folder import RunFolder
from walras.experiments.plugins import build, find_class
from walras.experiments.result import Result
from walras.experiments.run import Recorder, figures, finish
from walras.experiments.tasks.losses import Embeddings, OwnPredictions
from walras.experiments.tasks.text import from_texts
from walras.market import ComputeMarket
from walras.mechanisms import MECHANISMS, Mechanism, ShadowPrice
from walras.models import gated
from walras.models.objective import Batch, GivenLoss, ModelLoss, Objective

Loss = Callable[[nn.Module, Batch], Tensor]


def run(
    model: nn.Module,
    tokenizer: Any,
    data: Sequence[str] | Iterable[Batch],
    *,
    loss: Loss | Objective | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    mechanism: Mechanism | str | None = None,
    valuation: Valuation | str = "fisher",
    strategy: Strategy | str = "truthful",
    budget: float = 0.5,
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
        mechanism, valuation, strategy: objects, or names as on the command line.
        budget: share of the dense model's compute that may be used at the end.
        out: folder for trace, report and result.
        overwrite: replace a run that is there.
        agents: agent classes of your own by kind of unit ("head", "ffn").
        settings: rounds, schedule, reentry, block, length, sentences, batch_size, seed, as on the command line.
    """
    config = _config(budget, settings)
    folder = None if out is None else RunFolder(out, overwrite)
    setup = _Setup(model, tokenizer, data, loss, config)
    report = setup.score(evaluate)
    dense = report()
    traders = setup.market(mechanism, valuation, strategy, agents, None if folder is None else Recorder(folder, config))
    for _ in range(config.rounds):
        traders.step()
    with gated(model, setup.floor.units, traders.gates):
        value = report()
    metric = {"name": setup.metric if evaluate is None else "evaluate", "dense": dense, "value": value}
    summary = {
        "mechanism": type(traders.mechanism).__name__, "valuation": type(traders.valuation).__name__.lower(),
        "strategy": traders.strategy.name, "task": "own data", "model": type(model).__name__, "seed": config.seed,
        **figures(traders, setup.floor, traders.valuation), "metric": metric,
    }  # fmt: skip
    place = None if folder is None else folder.path
    result = Result(model, setup.floor.units, setup.floor.macs, traders, metric, summary, place)
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
    valuation: Valuation | str = "fisher",
    strategy: Strategy | str = "truthful",
    budget: float = 0.5,
    agents: Mapping[str, type[UnitAgent]] | None = None,
    **settings: Any,
) -> ComputeMarket:
    """The market of `run` as a Mesa model, to be stepped and looked into by yourself. Keep a reference to the model."""
    setup = _Setup(model, tokenizer, data, loss, _config(budget, settings))
    return setup.market(mechanism, valuation, strategy, agents, None)


class _Setup:
    """Units, batches, objective and metric of a model and data."""

    def __init__(self, model: nn.Module, tokenizer: Any, data: Any, loss: Any, config: RunConfig) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {type(model).__name__}; it must be a loaded transformer (torch.nn.Module)")
        self.model, self.config, self.tokenizer = model, config, tokenizer
        self.floor = Floor.of(model, config.block, config.length)
        self.floor.check(config.budget)
        self.sizes = {"batch_size": config.batch_size, "length": config.length}
        if isinstance(data, str):
            raise InputError("data is one string; give a list of texts, or batches")
        items = list(data)
        if not items:
            raise InputError("data is empty; give at least two texts, or one batch")
        self.task = from_texts(items) if isinstance(items[0], str) else None
        self.batches: list[Batch] = (
            self.task.calibration(tokenizer, sentences=config.sentences, seed=config.seed, **self.sizes)
            if self.task else items
        )  # fmt: skip
        self.objective = self._objective(loss)
        self.metric = self.task.metric if self.task else f"loss ({self.objective.unit})"

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

    def score(self, evaluate: Callable[[nn.Module], float] | None) -> Callable[[], float]:
        """What is to be called on the dense and on the smaller model."""
        if evaluate is not None:
            return lambda: float(evaluate(self.model))
        task = self.task
        if task is None:
            return self._mean_loss
        reference = task.reference(self.model, self.tokenizer, **self.sizes)
        return lambda: task.evaluate(self.model, self.tokenizer, reference, **self.sizes)

    @torch.no_grad()
    def _mean_loss(self) -> float:
        generator = torch.Generator().manual_seed(self.config.seed)
        losses = [float(self.objective(self.model, batch, generator)) for batch in self.batches]
        return sum(losses) / len(losses)

    def market(self, mechanism: Any, valuation: Any, strategy: Any, agents: Any, record: Any) -> ComputeMarket:
        """The market, with names resolved."""
        config = self.config
        rule = (
            ShadowPrice() if mechanism is None else _made("mechanism", mechanism, MECHANISMS, Mechanism, config.price)
        )
        return self.floor.market(
            self.objective, self.batches, _made("valuation", valuation, VALUATIONS, Valuation), rule,
            budget=config.budget, rounds=config.rounds, schedule=config.schedule,
            strategy=_made("strategy", strategy, STRATEGIES, Strategy), seed=config.seed, agents=agents,
            reentry=config.reentry, record=record,
        )  # fmt: skip


def _made(kind: str, wanted: Any, known: Mapping[str, type[Any]], base: type[Any], price: float | None = None) -> Any:
    """The object itself, or one of the class of that name."""
    if isinstance(wanted, base):
        return wanted
    if not isinstance(wanted, str):
        raise InputError(f"{kind} is {wanted!r}; it must be a {base.__name__} or the name of one: {', '.join(known)}")
    return build(kind, find_class(kind, wanted, known, base), price=price)


def _config(budget: float, settings: Mapping[str, Any]) -> RunConfig:
    return RunConfig(**checked({"budget": budget, **settings}))
