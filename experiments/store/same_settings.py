"""Whether a folder was begun with the settings of now."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from walras.errors import InputError
from walras.experiments.settings.fields import leaf_values
from walras.experiments.settings.trust import code_named
from walras.files.contents import read_text

CONFIG = "config.yaml"


class Settings(Protocol):
    """What a folder is made of, as `config.yaml` keeps it."""

    def as_yaml(self) -> str:
        """The settings as a file."""

    @staticmethod
    def read(path: Any, given: Mapping[str, Any], code: Collection[Any] = ()) -> Any:
        """Settings from a file, which names no code but this."""


def same_settings(folder: Path, now: Settings) -> bool:
    """Whether the file of settings in a folder says the same, word for word or in words of an earlier version."""
    try:
        check_same(folder, folder, now)
    except InputError:
        return False
    return True


def check_same(shown: Path, folder: Path, now: Settings) -> None:
    """Refuse to go on in a folder that was begun with other settings.

    Args:
        shown: what the user calls the folder.
        folder: where `config.yaml` lies.
        now: settings of this call; the folder's name no code but these.

    Raises:
        InputError: the first setting that differs, or settings that cannot be read.
    """
    file = folder / CONFIG
    told = now.as_yaml()
    with suppress(InputError):  # the reader below says what is wrong with it
        if read_text(file, "config file") == told:
            return
    own = [name for names in code_named(told.splitlines()) for name in names]
    then, wanted = leaf_values(now.read(file, {}, own)), leaf_values(now)
    for name in sorted({*then, *wanted}):
        if then.get(name) != wanted.get(name):
            raise InputError(
                f"--out {str(shown)!r} was begun with {name} = {then.get(name)!r}, now it is {wanted.get(name)!r}; "
                "resume with the same settings, or use --overwrite"
            )
