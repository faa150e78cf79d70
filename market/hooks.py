"""Hooks: functions of the user's that are called before and after the phases of a round."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, final

from walras.errors import InputError, UnknownNameError
from walras.market.naming import naming
from walras.registry import normalised

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket
    from walras.market.phases.phase import Phase, Turn

    Hook = Callable[[ComputeMarket, Turn], object]

PLAY, PLAYED = "play", "played"
"""Events before and after a whole round."""


@final
class Hooks:
    """Functions by event, called in the order in which they were added.

    Events are `play` and `played`, before and after a whole round, and the names of its phases before and after each:
    `clear` and `cleared`. Names match without regard to case, `-` and `_`.

    Raises:
        InputError: two phases have one event.
    """

    def __init__(self, phases: Iterable["Phase"]) -> None:
        events = [PLAY, *(event for phase in phases for event in (phase.name, phase.done) if event), PLAYED]
        self._events = {normalised(event): event for event in events}
        if len(self._events) < len(events):
            names = [normalised(event) for event in events]
            twice = next(event for event in events if names.count(normalised(event)) > 1)
            raise InputError(f"two phases have the event {twice!r}; give one of them another `name` or `done`")
        self._hooks: dict[str, list[tuple[object, Hook]]] = {event: [] for event in events}

    def add(self, event: str, hook: "Hook") -> Callable[[], None]:
        """Call `hook(market, turn)` at an event from now on; the function that is returned ends that.

        Raises:
            UnknownNameError: no such event.
            InputError: a hook that cannot be called.
        """
        if not isinstance(event, str) or normalised(event) not in self._events:
            raise UnknownNameError("event", str(event), self._hooks)
        if not callable(hook):
            raise InputError(f"a hook is a function of the market and the turn, not {hook!r}")
        hooks, key = self._hooks[self._events[normalised(event)]], object()
        hooks.append((key, hook))

        def remove() -> None:
            hooks[:] = [entry for entry in hooks if entry[0] is not key]

        return remove

    def call(self, event: str, market: "ComputeMarket", turn: "Turn") -> None:
        """Call the hooks of an event; nothing where it is no event.

        Raises:
            UserCodeError: a hook of the user's own raised an error, or takes other arguments.
        """
        for _, hook in tuple(self._hooks.get(event, ())):
            name = getattr(hook, "__qualname__", type(hook).__name__)
            with naming(f"hook {name} on {event!r}", hook):
                hook(market, turn)
