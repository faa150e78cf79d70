"""What a gateway remembers across its own death: a state, and every change since, written before it is answered."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from walras.errors import WalrasError
from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.terms import Terms
from walras.files.appending import AppendedLines
from walras.files.contents import reading
from walras.files.folders import remove
from walras.files.lines import read_lines
from walras.files.plain_data import parse_json, read_json, write_json
from walras.files.writing import write_whole

STATE, CHANGES = "state.json", "changes-{}.jsonl"
ROUND = 2000
"""Changes after which a new state is written."""


@final
class Journal:
    """Keeps a desk in a folder: `state.json`, and a file of the changes since, which the state names.

    A change is one line, written in one call before the desk answers, so that the death of the process loses none that
    anybody was told of; one that was torn is dropped. Grants of a process that died are charged in full: their answers
    may have been generated.

    Args:
        folder: that is this gateway's alone while it runs.
        terms: what is traded.
        clock: seconds that never go back, of the desk's calls.
        wall: seconds of the calendar; they tell how long nobody was there.
    """

    def __init__(
        self,
        folder: Path,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self._clock, self._wall = folder, clock, wall
        self._number, self._changes = 0, 0
        self._file: AppendedLines | None = None
        self.lost = 0  # tokens of grants that a process took with it
        folder.mkdir(parents=True, exist_ok=True)
        self.desk = Desk(terms, clock(), self._write)
        if (folder / STATE).is_file():
            self._recover(terms)
        self.save()
        self.lost = self.desk.abandon(clock())

    def save(self) -> None:
        """Write the state, and begin a new file of changes."""
        before, number = self._number, self._number + 1
        file = AppendedLines(self.folder / CHANGES.format(number))
        now = self._clock()
        self.desk.pass_time(now)
        told = {"changes": number, "now": now, "wall": self._wall(), "desk": self.desk.state()}
        try:
            write_whole(self.folder / STATE, write_json(told, None))
        except OSError:  # the old state and its changes go on
            file.close()
            raise
        self.close()
        self._file, self._number, self._changes = file, number, 0
        remove(self.folder / CHANGES.format(before))

    def close(self) -> None:
        """Let the file go; what is written is there."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, change: dict[str, Any]) -> None:
        if self._file is None:
            return
        self._file.write(write_json({**change, "wall": self._wall()}, None))
        self._changes += 1
        if self._changes % ROUND == 0:
            with suppress(OSError, WalrasError):  # the change is written; a new state can wait
                self.save()

    def _recover(self, terms: Terms) -> None:
        """The state, and every change after it, then as old as they are by the calendar."""
        with reading("state of a gateway", self.folder / STATE, KeyError, TypeError, AttributeError):
            told = read_json(self.folder / STATE, "state of a gateway")
            self._number = int(told["changes"])
            now, wall = float(told["now"]), float(told["wall"])
            then = Desk(terms, now)
            then.restore(told["desk"], now, 0.0)
            for change in self._recorded():
                then.repeat(change)
                now, wall = max(float(change["now"]), now), float(change["wall"])
            then.pass_time(now)
        self.desk.restore(then.state(), self._clock(), self._wall() - wall)

    def _recorded(self) -> list[dict[str, Any]]:
        """Changes since the state; the last line may be torn."""
        file = self.folder / CHANGES.format(self._number)
        lines = list(read_lines(file, "changes")) if file.is_file() else []
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(parse_json(line))
            except ValueError:
                if number < len(lines):
                    raise
        return found
