"""What a file of settings may not decide: which code runs. Only the command line, or the call at hand, names code."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from walras.errors import InputError

REMOTE_CODE = "trust_remote_code"
_ENDS = re.compile(r"\.(?:py|ya?ml)(?=$|[\s:,=+@])")  # a recipe in YAML may name Python files
_STARTS = re.compile(r"(?:^|(?<=[\s:,=+@]))(?=\S)")


def as_data(
    written: Mapping[str, Any], path: str | Path, given: Mapping[str, Any], code: Collection[Any]
) -> dict[str, Any]:
    """Settings of a file, of which none makes anything run that was not named by whoever starts this command.

    Whether a model's own code is trusted is left out: it counts only where it is given.

    Args:
        written: settings of the file by name.
        path: the file.
        given: settings of the command line or the call.
        code: Python and YAML files that it names besides.

    Raises:
        InputError: the file names a Python or YAML file that is neither in `given` nor in `code`.
    """
    named = {_real(file) for file in code} | {_real(file) for files in code_named(given) for file in files}
    for files in code_named({name: value for name, value in written.items() if name not in given}):
        if not any(_real(file) in named for file in files):
            shown = min(files, key=len)
            raise InputError(
                f"{str(path)!r} names code to run: {shown}. A file of settings is data, whoever wrote it; if you know "
                f"the code, name it here: --code {shown}"
            )
    return _without_remote_code(written)


def _without_remote_code(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same, sections inside too, but for what trusts a model's own code."""
    return {
        name: _without_remote_code(value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if str(name).rpartition(".")[2] != REMOTE_CODE
    }


def code_named(value: Any) -> Iterator[list[str]]:
    """Every Python or YAML file that a text in plain data names: what it may be called, as names may hold blanks."""
    if isinstance(value, str):
        for end in (found.end() for found in _ENDS.finditer(value)):
            yield [value[start.start() : end] for start in _STARTS.finditer(value, 0, end)]
    elif isinstance(value, Mapping):
        for inner in (*value.keys(), *value.values()):
            yield from code_named(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from code_named(inner)


def _real(file: Any) -> str:
    return os.path.realpath(str(file))
