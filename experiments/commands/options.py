"""Options of commands that are settings of a run."""

from dataclasses import MISSING, fields
from typing import Any

import typer

from walras.experiments.config import RunConfig

HELP = {f.name: str(f.metadata["help"]) for f in fields(RunConfig)}
_DEFAULT = {f.name: f.default for f in fields(RunConfig) if f.default is not MISSING}


def option(name: str, *flags: str) -> Any:
    """An option for a setting; what is not given comes from the config file, or is the default shown."""
    flag = "--" + name.replace("_", "-")
    text, default = HELP[name], _DEFAULT[name]
    return typer.Option(*(flags or (flag,)), help=text + ("" if default is None else f" [default: {default}]"))
