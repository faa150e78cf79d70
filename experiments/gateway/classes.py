"""Classes of requests: what each is thought to need, and which requests belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.escaping import shown
from walras.files.plain_data import read_yaml
from walras.market.queries.limits import LEAST_WEIGHT, MOST_WEIGHT, amount

OTHER = "other"
"""Class of requests that belong to none."""
_FIELDS = ("threshold", "weight", "model")


@final
@dataclass(frozen=True)
class RequestClass:
    """Requests of one kind.

    Attributes:
        name: by which a request's header, metrics and the log know it.
        threshold: tokens below which an answer is worth nothing, before anything is learned.
        weight: what a good answer is worth.
        model: requests for a model of this name belong to it; none do if "".
    """

    name: str
    threshold: float
    weight: float = 1.0
    model: str = ""

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 100 or not (self.name.isprintable() and self.name.isascii()):
            raise InputError(f"{shown(self.name)} can be no name of a class; valid: 1 to 100 characters of ASCII")
        amount(self.threshold, f"threshold of class {self.name}", 1.0)
        amount(self.weight, f"weight of class {self.name}", LEAST_WEIGHT, MOST_WEIGHT)


@final
class RequestClasses:
    """All classes, `other` among them, which has a threshold of `guess` where no file says more."""

    def __init__(self, classes: Mapping[str, RequestClass], guess: float) -> None:
        self._classes = {OTHER: RequestClass(OTHER, guess), **classes}
        self._of_model = {c.model: c for c in self._classes.values() if c.model}

    @property
    def other(self) -> RequestClass:
        """Of requests that belong to none."""
        return self._classes[OTHER]

    def named(self, name: str) -> RequestClass:
        """The class that a request names.

        Raises:
            UnknownNameError: there is none.
        """
        if name not in self._classes:
            raise UnknownNameError("class of request", name[:100], self._classes)
        return self._classes[name]

    def of_model(self, model: str) -> RequestClass | None:
        """The class of requests for a model, if there is one."""
        return self._of_model.get(model)


def read_classes(path: Path | None, guess: float) -> RequestClasses:
    """The classes of a YAML file: per name `threshold`, and `weight` and `model` if wanted.

    Raises:
        InputError: what is wrong with the file.
    """
    if path is None:
        return RequestClasses({}, guess)
    found: dict[str, RequestClass] = {}
    for name, fields in entries(path, "file of classes", _FIELDS):
        if "threshold" not in fields:
            raise InputError(f"class {name!r} of {str(path)!r} has no threshold")
        model = fields.get("model", "")
        if not isinstance(model, str):
            raise InputError(f"model of class {name!r} is {shown(model)}; valid: the name of one")
        other = next((c.name for c in found.values() if model and c.model == model), "")
        if other:
            raise InputError(f"classes {other!r} and {name!r} are both of model {model!r}; a model has one class")
        found[name] = RequestClass(name, fields["threshold"], fields.get("weight", 1.0), model)
    return RequestClasses(found, guess)


def entries(path: Path, what: str, known: tuple[str, ...]) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and fields of a YAML file that is a mapping of mappings.

    Raises:
        InputError: another file, or a field that is not known.
    """
    content = read_yaml(path, what)
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{what} {str(path)!r} must be a mapping of names to {', '.join(known)}")
    for name, fields in content.items():
        if not isinstance(name, str) or not isinstance(fields, Mapping):
            raise InputError(f"{what} {str(path)!r}: {shown(name)} must be a name with {', '.join(known)}")
        for field in fields:
            if field not in known:
                raise UnknownNameError(f"field of {name!r} in {str(path)!r}", str(field)[:100], known)
    return list(content.items())
