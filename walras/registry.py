"""Registries: everything that can be named on the command line, in a file of settings, or in a call, by one rule.

A name matches without regard to case, `-` and `_`. Parameters stand behind it: `PostedPrice:price=0.002`. What is the
user's own is named by its file, `FILE.py:Class:key=value`, or comes with an installed package that declares an entry
point in the group of the registry, such as `walras.mechanisms`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from walras.entries import Entry, Parameter
from walras.errors import InputError, UnknownNameError, WalrasError
from walras.escaping import shown
from walras.parameters import first_sentence, given_parameters, is_own, kind_of, split_spec, taken_parameters
from walras.spelling import attributes, bare, kept, own_head, refuse_unreadable, unreadable
from walras.user_code import load_class, place_of

T = TypeVar("T")
F = TypeVar("F")


def normalised(name: str) -> str:
    """A name without what does not count in it: case, `-`, `_`."""
    return name.lower().replace("-", "").replace("_", "")


def plural(kind: str) -> str:
    """Of what an entry is called: mechanisms, strategies."""
    return f"{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{kind}s"


class Registry(Mapping[str, Any], Generic[T]):
    """All entries of one kind by name; iteration is in the order in which they were added.

    An entry is a class derived from `base`, or a function that returns an instance of it. A registry may instead hold
    ready objects (`base` instances): `make` returns them as they are, and they take no parameters.

    Args:
        kind: what an entry is called in messages: `mechanism`.
        base: the class from which entries and a user's own classes are derived.
        group: of entry points; `walras.` and the plural of the kind by default.
        own: whether FILE.py:Class may name an entry.
        texts: class attributes that an instance must have as text, such as `("name",)`.
        read: makes an object of a text that names no single entry, such as a mixture; None of any other text.
    """

    def __init__(
        self,
        kind: str,
        base: type[Any],  # that of T, which may be abstract
        *,
        group: str = "",
        own: bool = True,
        texts: tuple[str, ...] = (),
        read: Callable[[str], T | None] | None = None,
    ) -> None:
        self.kind, self.base, self.own, self.texts, self.read = kind, base, own, texts, read
        self.group = group or f"walras.{plural(kind).replace(' ', '_')}"
        self._entries: dict[str, Any] = {}
        self._names: dict[str, str] = {}  # normalised name -> name
        self._origins: dict[str, str] = {}  # name -> package, of entry points
        self._broken: dict[str, str] = {}  # normalised name of an entry point that does not load -> what is wrong
        self._complete = False  # whether entry points have been added

    def add(self, entry: F, name: str = "") -> F:
        """Add an entry under a name, by default its attribute `name` or else that of the class; usable as a decorator.

        Raises:
            InputError: the name is taken, or can be no name.
        """
        named = name or getattr(entry, "name", None)
        own = named if isinstance(named, str) else getattr(entry, "__name__", "")
        key = normalised(own)
        if key in ("", "none") or any(mark in own for mark in ":=,/ ") or own.endswith(".py"):
            raise InputError(f"{self.kind} {own!r} can be no name; use letters, digits, - and _, and not none")
        if key in self._names:
            raise InputError(f"there are two {plural(self.kind)} of the name {self._names[key]!r}; rename one of them")
        self._names[key], self._entries[own] = own, entry
        return entry

    def __getitem__(self, name: str) -> Any:
        """The entry of that name.

        Raises:
            UnknownNameError: there is none.
        """
        return self._entries[self.canonical(name)]

    def __contains__(self, name: object) -> bool:
        self._add_entry_points()
        return isinstance(name, str) and normalised(name) in self._names

    def __iter__(self) -> Iterator[str]:
        self._add_entry_points()
        return iter(self._entries)

    def __len__(self) -> int:
        self._add_entry_points()
        return len(self._entries)

    def canonical(self, name: str) -> str:
        """The name as it was added, for any spelling of it.

        Raises:
            UnknownNameError: there is no such entry.
            InputError: the package that it comes with does not load.
        """
        if name not in self:
            if normalised(name) in self._broken:
                raise InputError(self._broken[normalised(name)])
            raise UnknownNameError(self.kind, name, self, "Your own: FILE.py:Class." if self.own else "")
        return self._names[normalised(name)]

    def find(self, spec: str) -> Any:
        """The entry that a text names, parameters aside: of this registry, or FILE.py:Class, whose file is run.

        Raises:
            UnknownNameError, InputError: no such entry, file or class.
        """
        head, _ = split_spec(spec)
        if self.own and is_own(head):
            return load_class(self.kind, head, self.base)
        return self[head]

    def make(self, given: Any, **offered: Any) -> T:
        """The object that `given` stands for: itself, a text `NAME:key=value,...`, or a mapping with its `name`.

        Args:
            given: the object, text or mapping.
            offered: values for parameters that the entry may take; those that are None, or that it does not take and
                `given` does not name, are left out.

        Raises:
            UnknownNameError: no such entry, or a parameter that it does not take.
            InputError: a value of the wrong type, a class that cannot be made, an object of another kind.
        """
        if isinstance(given, self.base):
            return cast(T, given)
        given = bare(given)
        if isinstance(given, str) and self.read is not None and (made := self.read(given)) is not None:
            return made
        name, parameters = self._named(given)
        entry = self.find(name)
        if isinstance(entry, self.base):
            if parameters:
                raise InputError(f"{self.kind} {name} takes no parameters (given: {', '.join(parameters)})")
            return cast(T, entry)
        takes = taken_parameters(entry)
        extra = {key: value for key, value in offered.items() if value is not None and key in takes}
        return self._built(entry, {**extra, **given_parameters(f"{self.kind} {name}", parameters, takes)})

    def spelled(self, given: Any) -> Any:
        """What a file of settings keeps of `given`: a text with the canonical name, or a mapping if no text can say it.

        Parameters are kept in one spelling, those that have their default value left out, so that all ways to name the
        same entry are written alike; behind a path they stay as they were given. An object is kept as what makes an
        equal one; where there is no such thing, as a text that is refused when it is read.

        Raises:
            UnknownNameError, InputError: as `make`, but for what only making it would show.
        """
        if isinstance(given, self.base):
            return self._spelled_object(given)
        given = bare(given)
        if self._reads(given):
            return given
        name, parameters = self._named(given)
        if self.own and is_own(name):
            return self._kept(name, parameters, None)
        return self._kept(self.canonical(name), *self._differing(name, parameters))

    def exact(self, given: Any) -> Any:
        """As `spelled`, with parameters behind a path in one spelling too; for that the file is run.

        Raises:
            UnknownNameError, InputError: as `spelled`, and whatever is wrong with the file.
        """
        given = bare(given)
        if isinstance(given, self.base) or self._reads(given):
            return self.spelled(given)
        name, parameters = self._named(given)
        if not (self.own and is_own(name)):
            return self.spelled(given)
        return self._kept(name, *self._differing(name, parameters))

    def varied(self, given: Any, values: Mapping[str, Any]) -> Any:
        """What `given` names, with other values of some of its parameters; a text or mapping, as `spelled` keeps it.

        Raises:
            UnknownNameError, InputError: as `spelled`, and parameters that it does not take.
        """
        name, parameters = self._named(self.spelled(given))
        others = {normalised(key) for key in values}
        own = {key: value for key, value in parameters.items() if normalised(key) not in others}
        return self.spelled({"name": name, **own, **values})

    def parameter(self, given: Any, key: str) -> tuple[Any, Any]:
        """The value of a parameter of what `given` names, and its annotated type; UnknownNameError: it takes none."""
        name, parameters = self._named(self.spelled(given))
        takes = self._taken(name)
        own = next((one for one in takes if normalised(one) == normalised(key)), None)
        if own is None:
            raise UnknownNameError(f"parameter of {self.kind} {name}", key, takes)
        typed = given_parameters(f"{self.kind} {name}", parameters, takes)
        return typed.get(own, takes[own].default), takes[own].annotation

    def describe(self) -> list[Entry]:
        """Every entry with its first sentence, parameters and source."""
        return [self._described(name) for name in self]

    def _taken(self, name: str) -> dict[str, inspect.Parameter]:
        """What an entry takes; nothing where it is a ready object."""
        entry = self.find(name)
        return {} if isinstance(entry, self.base) else taken_parameters(entry)

    def _named(self, given: Any) -> tuple[str, dict[str, Any]]:
        """Name and parameters of a text or mapping."""
        refuse_unreadable(self.kind, given if isinstance(given, str) else "")
        if isinstance(given, Mapping) and isinstance(given.get("name"), str):
            name, text = split_spec(given["name"])
            parameters = {str(key): value for key, value in given.items() if key != "name"}
            if self._reads(given["name"]):
                raise InputError(f"{self.kind} {given['name']} takes no parameters (given: {', '.join(parameters)})")
        elif isinstance(given, str):
            (name, text), parameters = split_spec(given), {}
        else:
            known = ", ".join(self)
            raise InputError(
                f"{self.kind} is {shown(given)}; it must be a {self.base.__name__}, or the name of one: {known}"
            )
        for key, value in text:
            if key in parameters:
                raise InputError(f"{key} of {self.kind} {name} is given twice")
            parameters[key] = value
        return name, parameters

    def _built(self, entry: Callable[..., Any], parameters: Mapping[str, Any]) -> T:
        called = getattr(entry, "__name__", str(entry))
        takes = inspect.signature(entry).parameters
        lacking = [
            name
            for name, p in takes.items()
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in parameters
        ]
        if lacking:
            raise InputError(
                f"{self.kind} {called} needs a value for {', '.join(lacking)}: {called}:{lacking[0]}=..., or a default"
            )
        try:
            made = entry(**parameters)
        except WalrasError:
            raise
        except (Exception, SystemExit) as error:  # whatever a user's class raises is the user's to mend
            told = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.kind} {called} cannot be made{place_of(error)}: {told}") from error
        if not isinstance(made, self.base):
            raise InputError(f"{self.kind} {called} made a {type(made).__name__}; it must make a {self.base.__name__}")
        for name in self.texts:
            if not isinstance(getattr(made, name, None), str):
                raise InputError(f'{self.kind} {called} has no {name}; it needs a line like {name} = "..."')
        return cast(T, made)

    def _reads(self, given: Any) -> bool:
        """Whether it is a text that `read` makes an object of."""
        return isinstance(given, str) and self.read is not None and self.read(given) is not None

    def _read_as(self, text: Any, made: Any) -> bool:
        """Whether it is a text that `read` makes an equal object of."""
        try:
            return isinstance(text, str) and self.read is not None and bool(self.read(text) == made)
        except InputError:
            return False

    def _differing(self, name: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters, typed, that differ from their defaults; and all that the entry takes."""
        takes = self._taken(name)
        called = name if is_own(name) else self.canonical(name)
        typed = given_parameters(f"{self.kind} {called}", parameters, takes)
        return {key: value for key, value in typed.items() if value != takes[key].default}, takes

    def _kept(self, head: str, parameters: Mapping[str, Any], takes: Mapping[str, inspect.Parameter] | None) -> Any:
        return kept(self.kind, head, parameters, takes, self._reads)

    def _spelled_object(self, made: Any) -> Any:
        """What makes an equal object, or else a text that cannot be read."""
        takes = taken_parameters(type(made))
        parameters = attributes(made, takes)
        for text in (parameters or {}).values():
            if self._read_as(text, made):
                return text
        name = next((n for n, entry in self.items() if entry is type(made) or entry is made), "")
        if name and self[name] is made:
            return name
        head = name or (own_head(type(made)) if self.own else "")
        return unreadable(made) if parameters is None or not head else self._kept(head, parameters, takes)

    def _described(self, name: str) -> Entry:
        entry, takes = self._entries[name], self._taken(name)
        parameters = tuple(
            Parameter(key, kind_of(p.annotation), "" if p.default is p.empty else str(p.default))
            for key, p in takes.items()
        )
        source = str(getattr(entry, "source", "")) or self._origins.get(name, "")
        return Entry(name, str(getattr(entry, "about", "")) or first_sentence(entry), parameters, source)

    def _add_entry_points(self) -> None:
        if self._complete:
            return
        self._complete = True
        for point in sorted(entry_points(group=self.group), key=lambda p: p.name):
            package = point.dist.name if point.dist is not None else point.value
            try:
                self.add(point.load(), point.name)
            except Exception as error:  # a package of somebody else's must not keep ours from working
                told = f"{self.kind} {point.name!r} of package {package} does not load: {type(error).__name__}: {error}"
                self._broken[normalised(point.name)] = told
                continue
            self._origins[point.name] = f"package {package}"
