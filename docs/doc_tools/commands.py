"""The page of the command line, from the help that the commands themselves print."""

import re
from typing import Any

import typer


def command_page() -> str:
    """Every command with its arguments and options."""
    from walras.experiments.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = [_about(group.help), _table(group.params)]
    for name, command in group.commands.items():
        parts += [f"## walras {name}", f"```\n{_usage(name, command)}\n```", _about(command.help)]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        if arguments:
            parts += ["**Arguments**", _table(arguments)]
        options = [p for p in command.params if p.param_type_name == "option"]
        for panel in dict.fromkeys(_panel(p) for p in options):
            parts += [f"**{panel}**", _table([p for p in options if _panel(p) == panel])]
    return "\n\n".join(parts)


def _panel(parameter: Any) -> str:
    return getattr(parameter, "rich_help_panel", None) or "Options"


def _usage(name: str, command: Any) -> str:
    arguments = [p.name.upper() for p in command.params if p.param_type_name == "argument"]
    return " ".join([f"walras {name}", *arguments, "[OPTIONS]"])


def _about(text: str | None) -> str:
    """Help as Markdown; a paragraph that is a command becomes code."""
    parts = [part.strip() for part in (text or "").split("\n\n")]
    return "\n\n".join(f"```\n{p}\n```" if p.startswith("walras ") else p for p in parts if p)


def _table(parameters: list[Any]) -> str:
    rows = [f"| {_flags(p)} | {_cell(p.help or '')}{_default(p)} |" for p in parameters]
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def _flags(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    value = "" if getattr(parameter, "is_flag", False) else f" {_kind(parameter)}"
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"`{flags}{value}`" + (", repeatable" if parameter.multiple else "")


def _kind(parameter: Any) -> str:
    """The word for an option's value; typer keeps its type in one place or another, by version."""
    hint = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    name = hint.__name__ if isinstance(hint, type) else getattr(getattr(parameter, "type", None), "name", "value")
    return str(parameter.metavar or {"str": "TEXT", "int": "NUMBER", "float": "NUMBER"}.get(name, name)).upper()


def _default(parameter: Any) -> str:
    value = parameter.default
    plain = isinstance(value, (int, float, str)) and not isinstance(value, bool) and value != ""
    return f" [default: {value}]" if plain and "[default" not in (parameter.help or "") else ""


def _cell(text: str) -> str:
    """Text in a cell of a table: one line, in which marks of Markdown outside of code are themselves."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(p.replace("|", r"\|") if p.startswith("`") else re.sub(r"([*|<\[\]])", r"\\\1", p) for p in parts)
