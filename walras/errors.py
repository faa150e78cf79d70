"""Everything that Walras raises on bad input: the value, what is valid, and the nearest valid name."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST, _END = 1600, 400  # characters of a message, and of its end where the middle is left out


class WalrasError(Exception):
    """Base of all errors that a user can mend; the command line prints it and exits with code 2.

    Of a message that a value from a file makes endless the middle is left out.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        super().__init__(text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END]} ... {text[-_END:]}")


class InputError(WalrasError, ValueError):
    """A value that cannot be worked with. The message names the value and what would be valid."""


class UnknownNameError(InputError):
    """A name that is in no list, together with the nearest name that is."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
        guess = next((f" Did you mean {n!r}?" for n in names if near and n.lower() == near[0]), "")
        told = f"Known: {', '.join(names)}." if names else "There is none."
        super().__init__(f"unknown {kind} {name!r}.{guess} {told}{hint and ' ' + hint}")


class RequirementError(InputError):
    """A mechanism met a population that lacks a trait which the mechanism requires."""


class SupplyExceededError(WalrasError):
    """A mechanism handed out more than the supply."""


class ConformanceError(WalrasError):
    """A rule of the user's does not keep what every rule must keep."""


class UserCodeError(WalrasError):
    """A class or function of the user's raised an error; the message names its file and line."""


class TrainingError(WalrasError):
    """Training came to nothing: a loss that is not a number."""


class ExecutorError(WalrasError):
    """What jobs ran on was lost while they ran; the message names it. What had been finished stays."""
