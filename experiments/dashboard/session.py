"""The markets of one viewer, played in a thread of their own: the page asks, and is told when something has changed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import final

from walras.experiments.cli.process.ending import explained
from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.scene import History, Scene, live_scene
from walras.market import ComputeMarket, Disable

Opening = Callable[[Choice], tuple[ComputeMarket, list[str]]]
"""Opens a market; sentences say what was changed so that there can be one."""
MOST_STEPS = 50
"""Rounds that can wait to be played: further clicks are dropped."""
_NETWORKS = threading.Lock()  # networks are shared by all viewers: hooks of two markets must not meet in one


@final
@dataclass(eq=False)
class Seat:
    """One market: what its controls say, and what is shown of it.

    Attributes:
        choice: of which the market was made.
        market: None before it is open, or where it could not be.
        scene: its last moment.
        notes: what was changed in its settings.
        error: why it stopped, in a sentence; "" while it goes.
    """

    choice: Choice
    market: ComputeMarket | None = None
    history: History = field(default_factory=lambda: History(1))
    scene: Scene | None = None
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether a round is left to play."""
        return self.market is not None and self.market.running and not self.error

    @property
    def cheapest(self) -> float:
        """Share of the cheapest unit; 0 while there is no market."""
        return float(self.market.ledger.cost.min()) if self.market is not None else 0.0

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Within the context whatever is raised stops this market, with a sentence.

        Also what is no `Exception`: no signal is delivered in this thread, so it came from code of the user's own.
        """
        try:
            yield
        except BaseException as error:
            self.error = sentence(error)

    def release(self) -> None:
        """Let the market go."""
        if self.market is not None:
            self.market.release()


@final
class Session:
    """Plays the markets of one viewer side by side, round by round, under the same clicks.

    Nothing here waits for a market: requests are noted, and the thread plays them in order. A market that raises is
    stopped with a sentence, and the other goes on.

    Args:
        opening: opens a market.
        choices: of the markets, one or two.
        changed: called in the thread whenever there is something new to show.
        shared: whether markets share networks with those of other viewers, and must be played one at a time.
    """

    def __init__(
        self, opening: Opening, choices: Sequence[Choice], changed: Callable[[], None], *, shared: bool = True
    ) -> None:
        self.seats = [Seat(choice) for choice in choices]
        self.playing, self.busy, self.pause = False, True, 0.3
        self._opening, self._changed, self._shared = opening, changed, shared
        self._steps, self._wanted, self._closed = 0, list(choices), False
        self._reset, self._breaks = True, list[tuple[int, str]]()
        self._asked = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to play what is asked for."""
        self._thread = threading.Thread(target=self._work, name="walras-session", daemon=True)
        self._thread.start()

    def close(self, wait: float = 0.0) -> None:
        """End after the round that is being played."""
        with self._asked:
            self._closed = True
            self._asked.notify_all()
        if wait and self._thread is not None:
            self._thread.join(wait)

    def step(self) -> None:
        """One round more of every market."""
        with self._asked:
            self._steps = min(self._steps + 1, MOST_STEPS)
            self._asked.notify_all()

    def play(self, on: bool) -> None:
        """Play on and on, or stop after the round that is being played."""
        with self._asked:
            self.playing, self._steps = on, 0
            self._asked.notify_all()

    def reset(self, choices: Sequence[Choice]) -> None:
        """Begin anew with these settings."""
        with self._asked:
            self._wanted, self._reset, self._steps, self.playing = list(choices), True, 0, False
            self._breaks.clear()
            self._asked.notify_all()

    def disable(self, seat: int, unit: str) -> None:
        """A unit breaks before the next round."""
        with self._asked:
            self._breaks.append((seat, unit))
            self._asked.notify_all()

    @property
    def running(self) -> bool:
        """Whether any market has a round left."""
        return any(seat.running for seat in self.seats)

    def _work(self) -> None:
        try:
            while self._next():
                if not self._closed:
                    self._changed()
        finally:
            for seat in self.seats:
                seat.release()

    def _next(self) -> bool:
        """Do the next thing that was asked for; False once the session is closed."""
        with self._asked:
            self._asked.wait_for(self._something)
            if self._closed:
                return False
            reset, self._reset = self._reset, False
            breaks = list(self._breaks)
            self._breaks.clear()
            played = not reset and not breaks
            self._steps = max(self._steps - 1, 0) if played else self._steps
            self.busy = True
        if reset or played:
            self._changed()  # the page says that something is being done
        with self._network():
            if reset:
                self._open_all()
            for number, unit in breaks:
                self._break(number, unit)
            if played:
                self._play_all()
        with self._asked:
            self.busy = False
            if not self.running:
                self.playing, self._steps = False, 0
            if self.playing and played:
                self._asked.wait_for(lambda: self._closed or self._reset or not self.playing, self.pause)
        return True

    def _something(self) -> bool:
        """Whether there is anything to do."""
        goes = (self.playing or self._steps > 0) and self.running
        if not self.running and not self._reset:
            self.playing, self._steps = False, 0
        return self._closed or self._reset or bool(self._breaks) or goes

    def _network(self) -> AbstractContextManager[object]:
        return _NETWORKS if self._shared else nullcontext()

    def _open_all(self) -> None:
        """Open all markets anew; those that were there are let go first."""
        old, self.seats = self.seats, [Seat(choice) for choice in self._wanted]
        for seat in old:
            seat.release()
        for seat in self.seats:
            with seat.stopping():
                seat.market, seat.notes = self._opening(seat.choice)
                seat.history = History(len(seat.market.ledger))
                seat.scene = live_scene(seat.market, seat.history)

    def _play_all(self) -> None:
        for seat in self.seats:
            if not seat.running or seat.market is None:
                continue
            with seat.stopping():
                seat.market.step()
                seat.history.add(seat.market)
                seat.scene = live_scene(seat.market, seat.history)

    def _break(self, number: int, unit: str) -> None:
        """Let a unit of a market break before its next round."""
        if number >= len(self.seats):
            return
        seat = self.seats[number]
        if seat.market is None or not seat.running:
            return
        with seat.stopping():
            shock = Disable(seat.market.round + 1, (unit,))
            shock.prepare(seat.market)
            seat.market.shocks = (*seat.market.shocks, shock)
            seat.notes = [*seat.notes[-3:], f"{unit} breaks before round {seat.market.round + 1}."]


def sentence(error: BaseException) -> str:
    """What went wrong, for the page."""
    return explained(error) or f"{type(error).__name__}: {error}"
