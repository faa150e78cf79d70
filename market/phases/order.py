"""In which order the phases of a round run."""

from collections.abc import Iterable, Sequence

from walras.errors import InputError, UnknownNameError
from walras.market.phases.phase import Phase


def in_order(default: Sequence[Phase], extra: Iterable[Phase]) -> tuple[Phase, ...]:
    """Default phases and extra ones in the order in which they run.

    An extra phase with the name of a default phase takes its place. The others go behind the phase that they follow,
    in the order in which they are given; those that follow none go to the end.

    Raises:
        InputError: two extra phases have one name, or one has none.
        UnknownNameError: a phase follows one that there is not.
    """
    own: dict[str, Phase] = {}
    for phase in extra:
        name = getattr(phase, "name", None)
        if not isinstance(name, str) or not name:
            raise InputError(f'phase {type(phase).__name__} has no name; it needs a line like name = "measure"')
        if name in own:
            both = f"{type(own[name]).__name__} and {type(phase).__name__}"
            raise InputError(f"two extra phases are called {name!r}: {both}; a round has one phase of each name")
        own[name] = phase
    phases = [own.pop(phase.name, phase) for phase in default]
    waiting, following = list(own.values()), {phase.name: phase.name for phase in phases}
    while ready := [phase for phase in waiting if phase.follows is None or phase.follows in following]:
        phase = ready[0]
        waiting.remove(phase)
        if phase.follows is None:
            phases.append(phase)
        else:
            place = [p.name for p in phases].index(following[phase.follows])
            phases.insert(place + 1, phase)
            following[phase.follows] = phase.name  # the next one that follows it goes behind this one
        following[phase.name] = phase.name
    if waiting:
        raise UnknownNameError(
            f"phase that {type(waiting[0]).__name__} follows", str(waiting[0].follows), [p.name for p in phases]
        )
    return tuple(phases)
