"""Options of commands that are settings: one for every field of a dataclass of settings."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any, final

import typer

from walras.experiments.config import RunConfig


@final
@dataclass(frozen=True)
class Options:
    """Options for the settings of a kind; what is not given comes from the config file, or is the default shown."""

    kind: type

    def __call__(self, name: str, *flags: str) -> Any:
        """The option of one setting."""
        flag = "--" + name.replace("_", "-")
        text, default = self._fields[name]
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else default
        told = "" if shown in (None, MISSING, "") else f" [default: {shown}]"
        return typer.Option(*(flags or (flag,)), help=text + told)

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a command's arguments that are settings, and were given."""
        return {name: value for name, value in values.items() if name in self._fields and value not in (None, [])}

    @cached_property
    def _fields(self) -> dict[str, tuple[str, Any]]:
        """Help and default by name."""
        return {f.name: (str(f.metadata["help"]), f.default) for f in fields(self.kind)}


option = Options(RunConfig)
