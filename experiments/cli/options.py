"""Options of commands that are settings: one per field, made from the dataclass and nowhere listed again."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, get_args

import typer

from walras.errors import InputError
from walras.experiments.recipes import RECIPES
from walras.experiments.settings.fields import Leaf, leaves

_PLAIN = (bool, int, float, str)
_OF_TASK = {
    "text": "Columns with texts, one or two: question,answer; of --task csv.",
    "label": "Column with labels; of --task csv.",
}
"""Parameters of a task that have an option of their own, wherever --task is one."""
Code = Annotated[
    list[str] | None,
    typer.Option("--code", help="FILE.py or recipe FILE.yaml that a settings file may name. [default: none]"),
]
"""Code of the user's that a file of settings may name; files are data otherwise."""


def with_settings(
    kind: type[Any],
    *,
    without: Collection[str] = (),
    only: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    recipe: str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option per setting of a kind; the command gets those that were given as `given`.

    Args:
        kind: dataclass of settings, sections included.
        without: settings that are no options of this command.
        only: the settings that are options of it; all by default.
        defaults: shown in the help in place of the fields' own.
        recipe: whose settings are shown so, and told to be its.
    """
    known = {n: leaf for n, leaf in leaves(kind).items() if n not in without and (not only or n in only)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for name, p in inspect.signature(command).parameters.items() if name != "given"]
        options = [_option(name, leaf, _told(name, leaf, defaults or {}, recipe)) for name, leaf in known.items()]
        short = _OF_TASK if "task" in known else {}
        options += [_text_option(name, text, known["task"].title) for name, text in short.items()]

        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in known}
            columns = {name: value for name in short if (value := values.pop(name))}
            given = {n: value for n, value in given.items() if value not in (None, [])}
            command(given=_with_columns(given, columns) if columns else given, **values)

        arguments = [p for p in own if _is_argument(p)]
        parameters = [*arguments, *options, *(p for p in own if not _is_argument(p))]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        vars(wrapped)["__signature__"] = inspect.Signature(parameters)
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        return wrapped

    return decorate


def _told(name: str, leaf: Leaf, defaults: Mapping[str, Any], recipe: str | None) -> str:
    """What the help says of a default; nothing where there is none."""
    own = RECIPES[recipe].settings if recipe else {}
    shown = _shown(own.get(name, defaults.get(name, leaf.default)))
    if not shown:
        return ""
    return f"[default: {shown}, by recipe {recipe}]" if name in own else f"[default: {shown}]"


def _option(name: str, leaf: Leaf, default: str) -> inspect.Parameter:
    """The option of one setting."""
    metadata = leaf.field.metadata
    flags = (metadata["option"] or f"--{name.replace('_', '-')}",)
    several = metadata["read"] is not None
    told = f" {default}" if default and "[default" not in metadata["help"] else ""
    plain = next((k for k in (leaf.hint, *get_args(leaf.hint)) if k in _PLAIN), str)
    annotation: Any = list[str] | None if several else plain | None
    option = typer.Option(*flags, help=metadata["help"] + told, rich_help_panel=leaf.title, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation, option]
    )


def _text_option(name: str, text: str, title: str) -> inspect.Parameter:
    option = typer.Option(f"--{name}", help=text, rich_help_panel=title, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _with_columns(given: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Settings in which the task has the columns as parameters.

    Raises:
        InputError: no task is named.
    """
    if "task" not in given:
        raise InputError(f"--{next(iter(columns))} is of --task csv; name it")
    named = {n: text.split(",") if n == "text" else text for n, text in columns.items()}
    return {**given, "task": {"name": given["task"], **named}}


def _shown(default: Any) -> str:
    if default is None or default == () or callable(default):
        return ""
    if isinstance(default, Mapping):
        return ", ".join(f"{share:g}" if name == "macs" else f"{name}={share:g}" for name, share in default.items())
    return ", ".join(map(str, default)) if isinstance(default, (tuple, list)) else str(default)


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(
        isinstance(told, typer.models.ArgumentInfo) for told in getattr(parameter.annotation, "__metadata__", ())
    )
