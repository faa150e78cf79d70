"""Networks that are loaded once per process, for all the market models that are made of them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from threading import RLock
from typing import Any, final

from torch import nn

from walras.errors import InputError
from walras.experiments.pipeline import market_keywords
from walras.experiments.plan import Extras, Plan
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.subjects.subject import OWN, Subject, find_task
from walras.experiments.unit_costs import UnitCosts

MOST_SUBJECTS = 2
"""Networks that are held at most."""
_NAMED = ("model", "data", "device", "dtype", "trust_remote_code")
"""Settings that say which network is loaded."""


@final
class SubjectCache:
    """Holds the last few subjects of this process, networks included, so that none is loaded twice in a row.

    Market models hold networks weakly, for Mesa 3.3 never frees a model: whoever makes a hundred of them, as a batch
    run or a page that is reset does, would have a hundred networks in memory. A network lives here until
    `MOST_SUBJECTS` others have been asked for; a market model that is stepped after that says that it is gone.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, OrderedDict[Hashable, tuple[Subject, Any]]()
        self._lock = RLock()

    def get(self, key: Hashable, load: Callable[[], Subject], beside: Any = None) -> Subject:
        """The subject of a key, loaded where it is not there.

        Args:
            key: equal keys are of equal subjects.
            load: makes the subject.
            beside: what must live as long as the key, objects whose ids are in it.
        """
        with self._lock:
            if key not in self._held:
                self._held[key] = load(), beside
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
            return self._held[key][0]

    def clear(self) -> None:
        """Let go of all networks."""
        with self._lock:
            self._held.clear()


SUBJECTS = SubjectCache(MOST_SUBJECTS)


def network_market(subject: Any, settings: Mapping[str, Any], extras: Extras) -> dict[str, Any]:
    """What a `ComputeMarket` is made from where units of a network trade.

    Args:
        subject: a `Subject`; model, tokenizer and data of the user's own; or None for those that settings name.
        settings: of the run, with its seed.
        extras: agents and shocks of the user's own.

    Raises:
        InputError: bad settings, a subject that is none, or a repair, which changes a copy that nobody holds here.
    """
    given = RunSpec.flat(settings)
    if subject is None:
        spec = RunSpec.parse({"recipe": "none", **given})
        plan = _plan(spec)
        found = SUBJECTS.get(_key(spec.subject), lambda: _loaded(spec.subject))
    else:
        plan, found = _own(subject, given)
    return market_keywords(plan, found, UnitCosts.measure(found, plan), found.model, extras)


def _own(subject: Any, given: dict[str, Any]) -> tuple[Plan, Subject]:
    """A subject of the user's own."""
    if not isinstance(subject, (Subject, tuple)) or (isinstance(subject, tuple) and len(subject) != 3):
        raise InputError(
            f"subject is a {type(subject).__name__}; it must be (model, tokenizer, data), a Subject, or None where "
            "settings name model and task"
        )
    model, data = (subject[0], subject[2]) if isinstance(subject, tuple) else (subject.model, subject.data)
    if not isinstance(model, nn.Module):
        raise InputError(f"subject begins with a {type(model).__name__}; it must be a transformer (torch.nn.Module)")
    refused = _NAMED if data is None else (*_NAMED, "task")
    beside = next((name for name in refused if name in given), None)
    if beside is not None:
        raise InputError(f"{beside} is {given[beside]!r} beside a subject of your own; give one of the two")
    if data is None and "task" not in given:
        raise InputError("data of the subject is None; give texts, batches, or a task: task='pairs'")
    task = {} if data is None else {"task": "text"}
    spec = RunSpec.parse({"recipe": "none", **given, **task, "model": f"{type(model).__name__} {OWN}"})
    plan = _plan(spec)
    if isinstance(subject, Subject):
        return plan, SUBJECTS.get(("given", id(subject)), lambda: subject)
    key = ("own", *map(id, subject), _key(spec.subject), spec.seed)
    return plan, SUBJECTS.get(key, lambda: _wrapped(subject, spec), subject)


def _plan(spec: RunSpec) -> Plan:
    plan = Plan.from_spec(spec)
    if plan.repair is not None:
        raise InputError(f"repair is {spec.market.repair}, which needs a copy of the model: use walras.run")
    return plan


def _loaded(spec: SubjectSpec) -> Subject:
    return Subject.load(spec, task=find_task(spec), measured=False)


def _wrapped(subject: tuple[Any, Any, Any], spec: RunSpec) -> Subject:
    model, tokenizer, data = subject
    given = find_task(spec.subject) if data is None else data
    return Subject.wrap(model, tokenizer, given, spec.subject, seed=spec.seed, evaluate=lambda network: 0.0)


def _key(spec: SubjectSpec) -> Hashable:
    """Equal for settings that load the same; a task that was given as an object stands for itself."""
    task = spec.task if isinstance(spec.task, str) else repr(spec.task)
    return repr(replace(spec, task=task))
