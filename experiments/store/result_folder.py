"""A folder that a command ends with. Each piece is written whole; `result.json` comes last and means finished.

A finished result is never touched before another one takes its place in one step: what is to replace it is written
into `NAME.unfinished` beside it. Where there is none, or an unfinished one, the folder itself is written to.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.store.place import check_place
from walras.experiments.store.same_settings import CONFIG, Settings, check_same, same_settings
from walras.experiments.store.versions import VERSIONS, versions
from walras.files.contents import hash_of, hash_of_all
from walras.files.folders import RESULT, clear, put_in_place, set_aside, sweep, tidy
from walras.files.locks import one_writer, refuse_second
from walras.files.plain_data import write_json
from walras.files.writing import inherit, is_hidden_work, write_whole, writing

FILES = "files"
"""In `result.json`: SHA-256 of the files that belong to the result, by name."""
_HASHED = (".safetensors", ".parquet")
PARTS = "*.parquet"


@final
@dataclass(frozen=True)
class Layout:
    """What lies in the folders of one command.

    Attributes:
        what: such a folder is called: "run".
        parts: names that may be there; others are somebody else's.
        inside: what names of files look like in folders that are parts.
        resumable: an unfinished one can be gone on with.
    """

    what: str
    parts: tuple[str, ...]
    inside: Mapping[str, "re.Pattern[str]"] = field(default_factory=dict)
    resumable: bool = False


@final
class ResultFolder:
    """Where a result is kept. Nothing is created, and nothing old removed, before `begin`.

    An unfinished folder of the same settings is gone on with if its layout says that it can be, and else begun anew.

    Args:
        path: the folder, or a link to it.
        layout: what may be in it.
        settings: of the command.
        overwrite: replace a finished result, or an unfinished one of other settings.
        resume: go on; an error where the settings differ, all is finished, or nothing was begun.

    Raises:
        InputError: a place that cannot be written; a folder that holds something else, another result that is not to
            be replaced, or one that cannot be replaced in one step.
    """

    def __init__(
        self, path: str | Path, layout: Layout, settings: Settings, *, overwrite: bool = False, resume: bool = False
    ) -> None:
        self.given, self.layout, self.settings = Path(path), layout, settings
        self.place = Path(os.path.realpath(path))
        self.draft = _draft_of(self.place)
        self._begun = False
        self._asked = {"overwrite": overwrite, "resume": resume}
        self.path, self.goes_on = self._look(**self._asked)
        """Where the pieces are written, and whether what is there already is kept."""

    @property
    def trace(self) -> Path:
        """Where the trace's parts go."""
        return self.path / "trace"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who writes there.

        Raises:
            InputError: another process does, the place cannot be written, or another result has come there meanwhile.
        """
        with ExitStack() as stack:
            with writing(self.given):
                stack.enter_context(one_writer(self.place))
                sweep(self.draft)
                for folder in (self.place, self.draft):
                    tidy(folder, self.layout.parts)
            self.path, self.goes_on = self._look(**self._asked)  # another one may have finished since
            yield

    def check_free(self) -> None:
        """Find out early that another process writes there.

        Raises:
            InputError: it does.
        """
        refuse_second(self.place)

    def begin(self) -> None:
        """Remove what an unfinished result left, and write the settings, or go on. A second call does nothing."""
        if self._begun:
            return
        self._begun = True
        if not self.goes_on:
            with writing(self.given):
                clear(self.path)
                if self.path != self.place:
                    self.path.mkdir(exist_ok=True)
                    inherit(self.path, self.place)
                self.write(CONFIG, self.settings.as_yaml())

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def finish(self, result: Mapping[str, Any], without: str = "") -> None:
        """Write the result, with versions and hashes of the files that belong to it, and put the folder in its place.

        Args:
            result: its figures.
            without: a part that is needed no more once the result is there, such as checkpoints.
        """
        told = self._hashes()
        with writing(self.given, kept=f"what is finished of it is in {str(self.path)!r}"):
            with set_aside(self.path / without) if without else nullcontext():
                self.write(RESULT, write_json({**result, VERSIONS: versions(), FILES: told}))
            if self.path != self.place:
                put_in_place(self.path, self.place)
                self.path = self.place
            with suppress(OSError):  # the next writer tidies up
                tidy(self.path, [without] if without else [])

    def _hashes(self) -> dict[str, str]:
        """Of the files that belong to the result by name, and of a folder of parts as a whole."""
        files = {file.name: hash_of(file) for file in sorted(self.path.iterdir()) if file.suffix in _HASHED}
        inside = {name: self.path / name for name in self.layout.inside}
        return files | {name: hash_of_all(folder, PARTS) for name, folder in inside.items() if folder.is_dir()}

    def _look(self, overwrite: bool, resume: bool) -> tuple[Path, bool]:
        """Where to write, and whether to go on with what is there."""
        if self.draft.is_symlink():
            raise InputError(f"{str(self.draft)!r} is a link, where the unfinished result would go; remove it")
        present = _present(self.given, self.layout)
        path = self._where_to_write(RESULT in present, overwrite, resume)
        left = present if path == self.place else _present(path, self.layout)
        if left and CONFIG not in left:  # which is the first that is written
            raise InputError(
                f"--out {str(self.given)!r} holds {', '.join(left)} and no {CONFIG}: nothing that a {self.layout.what} "
                "left; choose another folder"
            )
        if resume and not overwrite and CONFIG not in left:
            raise InputError(f"--out {str(self.given)!r} holds nothing to resume; leave --resume out to begin")
        return path, bool(left) and not overwrite and self._can_go_on(left, path, resume)

    def _where_to_write(self, finished: bool, overwrite: bool, resume: bool) -> Path:
        what, begun = self.layout.what, (self.draft / CONFIG).is_file()
        if not finished:
            return self.place
        if resume and not overwrite:
            if begun and self.layout.resumable:
                return self.draft
            raise InputError(f"--out {str(self.given)!r} has finished; there is nothing to resume")
        if not overwrite:
            same = same_settings(self.place, self.settings)
            told = (
                f"this {what}, finished; use --overwrite to begin it anew"
                if same
                else (f"another {what}; use --overwrite to replace it")
            )
            raise InputError(f"--out {str(self.given)!r} holds {told}")
        here = Path.cwd()
        if (
            os.path.ismount(self.place)
            or not os.access(self.place.parent, os.W_OK)
            or self.place in (here, *here.parents)
        ):
            raise InputError(
                f"--out {str(self.given)!r} holds a finished {what} and cannot be replaced in one step: it is a "
                "mounted folder, the current one, or in a folder that you may not write to; choose a folder inside it"
            )
        return self.draft

    def _can_go_on(self, present: list[str], path: Path, resume: bool) -> bool:
        """Whether an unfinished folder is to be gone on with; other settings are an error."""
        if CONFIG not in present:
            return False
        if resume:
            check_same(self.given, path, self.settings)
        elif not same_settings(path, self.settings):
            raise InputError(
                f"--out {str(self.given)!r} holds an unfinished {self.layout.what} of other settings; use "
                "--overwrite to replace it"
            )
        return self.layout.resumable


def unfinished_folder(path: str | Path) -> Path:
    """Where the unfinished result of a folder lies: beside a finished one, or in the folder."""
    draft = _draft_of(Path(os.path.realpath(path)))
    return draft if draft.is_dir() else Path(path)


def _draft_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.unfinished")


def _present(path: str | Path, layout: Layout) -> list[str]:
    """What lies in a folder of a layout."""
    article = "an" if layout.what[0] in "aeiou" else "a"
    otherwise = f"which is no part of {article} {layout.what}; choose another folder"
    present = names_in(path, layout.parts, otherwise)
    for name, pattern in layout.inside.items():
        inner = Path(path) / name
        found = sorted(p.name for p in inner.iterdir()) if inner.is_dir() else []
        foreign = [f"{name}/{n}" for n in found if not (pattern.fullmatch(n) or is_hidden_work(n))]
        refuse_foreign(path, foreign, otherwise)
    return present


def names_in(path: str | Path, parts: tuple[str, ...], otherwise: str) -> list[str]:
    """What lies in a folder that is to be written, sorted; nothing where there is no folder yet.

    Args:
        path: the folder.
        parts: names that may be there; a killed process may have left unfinished files as well.
        otherwise: what is told of any other name.

    Raises:
        InputError: a place that cannot be written, or another name.
    """
    check_place(path)
    present = sorted(p.name for p in Path(path).iterdir()) if Path(path).is_dir() else []
    foreign = [name for name in present if name not in parts and not is_hidden_work(name)]
    refuse_foreign(path, foreign, otherwise)
    return [name for name in present if not is_hidden_work(name)]


def refuse_foreign(path: str | Path, foreign: list[str], otherwise: str) -> None:
    """Raise InputError where a folder holds something else."""
    if foreign:
        raise InputError(f"--out {str(path)!r} holds {foreign[0]!r}, {otherwise}")
