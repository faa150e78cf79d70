"""From Python: a market on a network and data of the user's own, or on those that names stand for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from walras.agents import UnitAgent
from walras.errors import InputError
from walras.experiments.outcome import Outcome
from walras.experiments.pipeline import open_market_of, run_plan
from walras.experiments.plan import Extras, Plan
from walras.experiments.progress import Progress
from walras.experiments.repair_data import check_enough
from walras.experiments.settings.keywords import RunSettings
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.objectives import Loss
from walras.experiments.subjects.subject import OWN, Subject, find_task
from walras.experiments.tasks import Task
from walras.market import ComputeMarket, Shock, Turn
from walras.models.objective import Batch, Objective

Data = Task | Sequence[str] | Iterable[Batch] | Sequence[Any] | str | None
Hook = Callable[[ComputeMarket, Turn], object]


def run(
    model: nn.Module | str,
    tokenizer: Any = None,
    data: Data = None,
    *,
    loss: Loss | Objective | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    agents: Mapping[str, type[UnitAgent]] | None = None,
    hooks: Mapping[str, Hook] | None = None,
    progress: Progress | None = None,
    **settings: Unpack[RunSettings],
) -> Outcome:
    """Let the units of a network trade compute, and get back which of them stay.

    Args:
        model: a Hugging Face transformer of a known family, or the folder or hub id of one. Its weights are never
            changed: a repair works on a copy, which the outcome holds.
        tokenizer: of a model that is given as an object, or its processor; None where the data are batches.
        data: for a model object: texts, batches (dicts of tensors as the model takes them, e.g. a DataLoader), pictures
            of Pillow, sounds (arrays at the processor's rate), or a task. For a name: the folder or file with the
            task's data, as --data on the command line.
        loss: function of the model and a batch that returns the mean loss over the batch's samples. Without one it
            is the task's, or the model's own where batches hold labels, and else how far the model's outputs move.
        evaluate: the figure to report, of the network as it is. Without one it is the task's metric; of batches the
            mean loss, or without labels the agreement with the dense network.
        out: folder for trace, report and result.
        overwrite: replace a run that is there.
        agents: agent classes of your own by kind of unit ("head", "ffn").
        hooks: functions of the market and the round in progress, by event ("cleared").
        progress: bars, such as a started `rich.progress.Progress`.
        settings: as on the command line, by name or as objects; see `RunSettings`.

    Raises:
        InputError: bad settings or data, before a file is written.
    """
    if not isinstance(out, str | Path | None):
        raise InputError(f"out is {out!r}; it must be the path of a folder")
    extras = Extras(agents, (), hooks)
    spec, prepared = _prepared(model, tokenizer, data, loss, evaluate, settings)
    folder = None if out is None else ResultFolder(out, RUN, spec, overwrite=overwrite)
    if folder is not None:
        folder.check_free()
    plan, subject = prepared(progress)
    if folder is not None:
        folder.settings = plan.spec
    return run_plan(plan, subject, folder, progress, extras)


def open_market(
    model: nn.Module | str,
    tokenizer: Any = None,
    data: Data = None,
    *,
    loss: Loss | Objective | None = None,
    agents: Mapping[str, type[UnitAgent]] | None = None,
    hooks: Mapping[str, Hook] | None = None,
    shocks: Sequence[Shock] = (),
    **settings: Unpack[RunSettings],
) -> ComputeMarket:
    """The market of `run` as a Mesa model, to be stepped and looked into by yourself. Keep a reference to the model.

    Without a `recipe` it is a plain market, one that repairs no weights. `shocks` strike before some of the rounds:
    `walras.market.Disable` and `NewTask`, or your own.

    Raises:
        InputError: bad settings or data; a repair, which needs a copy of the network that somebody holds.
    """
    extras = Extras(agents, shocks, hooks)
    _, prepared = _prepared(model, tokenizer, data, loss, lambda model: 0.0, {"recipe": "none", **settings})
    plan, subject = prepared(None)
    if plan.repair is not None:
        raise InputError(f"repair is {plan.spec.market.repair}, which needs a copy of the model: use walras.run")
    return open_market_of(plan, subject, extras)


Prepared = Callable[[Progress | None], tuple[Plan, Subject]]


def _prepared(
    model: Any, tokenizer: Any, data: Any, loss: Any, evaluate: Any, settings: Mapping[str, Any]
) -> tuple[RunSpec, Prepared]:
    """The settings, and what resolves their names and loads or wraps the subject."""
    if isinstance(model, str):
        if tokenizer is not None or loss is not None or not isinstance(data, str | None):
            raise InputError(
                "model is a name: its tokenizer is loaded with it, data is a path, and the task has a loss"
            )
        spec = RunSpec.parse({**settings, "model": model, "data": data})
        return spec, partial(_loaded, spec, evaluate)
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {type(model).__name__}; it must be a transformer (torch.nn.Module), or its name")
    told = {"model": f"{type(model).__name__} {OWN}", "data": None}
    spec = RunSpec.parse({**settings, **told, "task": _task_named(settings, data)})
    return spec, lambda progress: _wrapped(spec, model, tokenizer, data, loss, evaluate)


def _loaded(spec: RunSpec, evaluate: Any, progress: Progress | None) -> tuple[Plan, Subject]:
    plan, task = Plan.from_spec(spec), find_task(spec.subject)
    check_enough(task.most, task.name, plan.spec.market)
    subject = Subject.load(plan.spec.subject, progress, task)
    return plan, subject if evaluate is None else subject.judged_by(evaluate)


def _wrapped(
    spec: RunSpec, model: nn.Module, tokenizer: Any, data: Any, loss: Any, evaluate: Any
) -> tuple[Plan, Subject]:
    plan = Plan.from_spec(spec)
    given = find_task(spec.subject) if data is None else data
    subject = Subject.wrap(model, tokenizer, given, spec.subject, seed=spec.seed, loss=loss, evaluate=evaluate)
    return replace(plan, spec=spec.with_values(task=subject.data.name)), subject


def _task_named(settings: Mapping[str, Any], data: Any) -> Any:
    """What the settings keep of the task: what was named, the task itself, or that the data are the user's own."""
    if data is None and "task" not in settings:
        raise InputError("data is None; give texts, batches, or a task: task='pairs'")
    if data is not None and "task" in settings:
        raise InputError(f"task is {settings['task']!r} beside data of your own; give one of the two")
    return settings["task"] if data is None else data if isinstance(data, Task) else "text"
