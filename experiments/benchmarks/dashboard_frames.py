"""How long the dashboard takes to show a round of a large market, and whether its memory stays flat.

python -m walras.experiments.benchmarks.dashboard_frames --agents 10000 --rounds 200
"""

import gc
import time
from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
import typer

from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.opening import opener
from walras.experiments.dashboard.pages.market_view import curves
from walras.experiments.dashboard.pictures.unit_map import UnitMap
from walras.experiments.dashboard.scene import History, Scene, live_scene
from walras.experiments.dashboard.table import Order, page_of

RESETS = 5
"""Markets that are opened and let go at the end, as a viewer does who resets."""


@final
@dataclass(frozen=True)
class Frame:
    """One round: seconds of the market's step, and of all that shows it; characters that are sent to the browser.

    `work` are the seconds that the processor was at work to show it: on a machine that does much else they are less.
    """

    step: float
    shown: float
    work: float
    sent: int


def main(
    agents: Annotated[int, typer.Option(help="Units of the market.", min=2)] = 10_000,
    rounds: Annotated[int, typer.Option(help="Rounds.", min=2)] = 200,
) -> None:
    """Print seconds a round and megabytes as the market goes on."""
    opened = opener(Launch(toy=agents))
    market, _ = opened(Choice(rounds=rounds, reentry=True))
    history, frames = History(agents), []
    print(f"{agents} agents, {rounds} rounds; memory before the first {memory():.0f} MB")
    for number in range(1, rounds + 1):
        begun = time.perf_counter()
        market.step()
        stepped = time.perf_counter()
        worked = time.process_time()
        history.add(market)
        sent = drawn(live_scene(market, history))
        frames.append(Frame(stepped - begun, time.perf_counter() - stepped, time.process_time() - worked, sent))
        if number % max(1, rounds // 8) == 0:
            gc.collect()
            print(f"round {number:5}: {memory():6.0f} MB, {len(history)} rounds remembered")
    for name in ("step", "shown", "work"):
        seconds = [getattr(frame, name) for frame in frames]
        median, most = 1000 * np.median(seconds), 1000 * np.quantile(seconds, 0.95)
        print(f"{name}: median {median:.0f} ms, 95th percentile {most:.0f} ms")
    print(f"sent to the browser a round: {np.mean([frame.sent for frame in frames]) / 1000:.0f} kB")
    market.release()
    for number in range(RESETS):
        market, _ = opened(Choice(rounds=rounds))
        market.step()
        market.release()
        del market
        gc.collect()
        print(f"reset {number + 1}: {memory():6.0f} MB")


def drawn(scene: Scene) -> int:
    """Draw all of a page, and count its characters."""
    name = str(scene.agents["agent"].iloc[0])
    pictures = [one.svg(scene.agents, "value", name) for one in UnitMap.maps(scene.agents)] + curves(scene)
    rows, _ = page_of(scene.agents, Order())
    scene.past(name)
    return sum(map(len, pictures)) + sum(len(value) for row in rows for value in row.values())


def memory() -> float:
    """Megabytes that this process has now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    typer.run(main)
