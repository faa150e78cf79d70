"""How a report can be made again: its command, word by word."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from walras.errors import WalrasError
from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET, SEED
from walras.experiments.grids.grid import Grid
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import Leaf, leaves
from walras.experiments.settings.names import NONE, told
from walras.experiments.spec import MACS

FROM_PYTHON = "It was started from Python, with objects that no command line names; compare.yaml lists its cells."
"""Why a grid may have no command."""
_AXES = (RECIPE, BUDGET)  # have options of their own in a sweep


def command_of(settings: Any, *flags: str) -> str:
    """The line of a shell with these settings, such as `walras run --budget 0.4`; those that are defaults are left out.

    "" where no line has them: of objects made in Python, and of a recipe or a task that no name leads to.

    Args:
        settings: of a command.
        flags: further options.
    """
    if not isinstance(settings, CommandSettings) or not settings.command:
        return ""
    words = [*_options(settings), *flags]
    return shlex.join(["walras", settings.command, *words]) if _same(settings, words[: len(words) - len(flags)]) else ""


def sweep_command_of(grid: Grid[Any], *flags: str) -> str:
    """The line of a shell that runs all cells of a grid; "" where none does.

    Args:
        grid: with at least one cell.
        flags: further options.
    """
    settings = grid.cells[0].settings
    if not isinstance(settings, CommandSettings) or not settings.sweep:
        return ""
    known, kind = leaves(type(settings)), type(settings)
    base = {name: _text(known[name], value) for name, value in grid.settings.items() if name in known}
    words = [word for name, value in base.items() for word in _words(known[name], value)]
    words += [*_varied(grid), "--seeds", str(len(grid.seeds)), *flags]
    for cell in grid.cells:
        given = {**base, **{axis: _plain(label) for axis, label in cell.labels.items()}, SEED: cell.seed}
        try:
            again = grid.experiment.resolve(given)
        except (WalrasError, ValueError, TypeError):
            return ""
        if not isinstance(again, kind) or again.tree != cell.settings.tree:
            return ""
    return shlex.join(["walras", settings.sweep, *words])


def _varied(grid: Grid[Any]) -> Iterator[str]:
    """Options that say which cells there are, but for their seeds."""
    if grid.sample is not None:
        yield from ("--design", grid.sample.told)
        for factor in grid.sample.factors:
            yield from ("--vary", f"{factor.name}={factor}")
        return
    for axis, labels in grid.axes.items():
        for label in labels:
            yield from (f"--{axis}", _plain(label)) if axis in _AXES else ("--vary", f"{axis}={_plain(label)}")
    if grid.against is not None:
        yield from ("--against", f"{grid.against.axis}={_plain(grid.against.label)}")


def read_back(words: list[str], kind: type[Any]) -> dict[str, Any]:
    """Options of a command by the names of their settings, as its parser reads them.

    Args:
        words: of the line, behind the command's name.
        kind: of settings.

    Raises:
        KeyError: an option that is no setting.
    """
    known = {flag: (name, leaf, flag) for name, leaf in leaves(kind).items() for flag in _flags(leaf)}
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        name, leaf, flag = known[word]
        if leaf.hint is bool:
            found[name] = flag == _flags(leaf)[0]
        elif leaf.field.metadata["read"] is not None:
            found.setdefault(name, []).append(next(rest))
        else:
            found[name] = _typed(leaf, next(rest))
    return found


def _typed(leaf: Leaf, text: str) -> Any:
    """A text as typer has it for the field: a number where the field is one."""
    kinds = getattr(leaf.hint, "__args__", (leaf.hint,))
    return next((kind(text) for kind in (int, float) if kind in kinds and str not in kinds), text)


def _options(settings: CommandSettings) -> list[str]:
    """Options of all settings that are not what the command takes by itself."""
    kind, flat = type(settings), _flat(settings.tree)
    first = {name: flat[name] for name in (RECIPE,) if name in flat}
    if BUDGET in flat:
        first[BUDGET] = flat[BUDGET]
    known = leaves(kind)
    defaults = _flat(kind.parse({}).tree)
    try:
        given = {name: _text(known[name], value) for name, value in first.items()}
        below = _flat(kind.parse({name: value for name, value in given.items() if value is not None}).tree)
    except WalrasError:
        below = defaults
    words = [w for name, value in first.items() if value != defaults[name] for w in _words(known[name], value)]
    return words + [
        word
        for name, value in flat.items()
        if name not in first and (name not in below or value != below[name])  # one that came later is left out there
        for word in _words(known[name], value)
    ]


def _same(settings: CommandSettings, words: list[str]) -> bool:
    """Whether a command with these options has the same settings."""
    try:
        return type(settings).parse(read_back(words, type(settings))).tree == settings.tree
    except (WalrasError, ValueError, KeyError, TypeError, StopIteration):
        return False


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by their own names; a mapping that is a value stays one."""
    return dict(_pairs(tree))


def _pairs(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and name != BUDGET:
            yield from _pairs(value)
        else:
            yield name, value


def _flags(leaf: Leaf) -> list[str]:
    """Options of a field; of a switch the one that turns it on, and the one that turns it off."""
    given = leaf.field.metadata["option"] or f"--{leaf.field.name.replace('_', '-')}"
    return [part.strip() for part in given.split("/")]


def _words(leaf: Leaf, value: Any) -> list[str]:
    """An option with its value; several times where it has several."""
    value, flags = _text(leaf, value), _flags(leaf)
    if isinstance(value, bool):
        return [flags[0]] if value else flags[1:]
    if value is None:
        return []
    items = (value or [NONE]) if isinstance(value, list) else [value]
    return [word for item in items for word in (flags[0], _plain(item))]


def _text(leaf: Leaf, value: Any) -> Any:
    """A value as its option takes it: texts, of which there may be several."""
    if isinstance(value, Mapping):
        return [_plain(share) if name == MACS else f"{name}={_plain(share)}" for name, share in value.items()]
    value = told(leaf.field, value) if not isinstance(value, (list, tuple)) else [*value]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _plain(value: Any) -> str:
    """A value as a word of a line."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
