"""How long after the end of a round the browser shows it, on the market that the dashboard begins with.

    python -m walras.experiments.benchmarks.dashboard_click --clicks 10

Needs playwright and a Chromium. A click on Step, and the page's own clock when the new round stands in it; the page is
drawn with the frame after that.
"""

import shutil
import statistics
import threading
import time
from collections.abc import Callable
from typing import Annotated
from unittest.mock import patch

import typer

from walras.errors import InputError
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.opening import opener
from walras.experiments.dashboard.pages import live
from walras.experiments.dashboard.server import HOST, Server
from walras.experiments.dashboard.session import Opening
from walras.experiments.listening import bound
from walras.market import ComputeMarket

WATCH = """round => new Promise(done => {
    const line = document.querySelector(".walras-line")
    const look = () => {
        if (line.innerText.startsWith(`Round ${round} of`)) {
            watching.disconnect()
            done(Date.now() / 1000)
        }
    }
    const watching = new MutationObserver(look)
    watching.observe(document.body, {subtree: true, childList: true, characterData: true})
    const step = [...document.querySelectorAll("button")].find(one => one.innerText.trim().toLowerCase() === "step")
    step.click()
})"""


def main(
    clicks: Annotated[int, typer.Option(help="Rounds that are clicked.", min=1, max=11)] = 10,
    toy: Annotated[int, typer.Option(help="Units of a market without a network; 0: the default network.")] = 0,
) -> None:
    """Print seconds from a click, and from the end of the round, to the page that shows it."""
    with ended_in_words("the dashboard is shown by a browser"), progress_bar() as progress:
        step = progress.add_task("Clicks", total=clicks)
        found = measured(Launch(toy=toy), clicks, lambda: progress.update(step, advance=1))
    for name, seconds in zip(("the round itself", "click to page", "end of the round to page"), found, strict=True):
        output().print(f"{name}: median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")


def measured(launch: Launch, clicks: int, tell: Callable[[], None]) -> tuple[list[float], list[float], list[float]]:
    """Seconds of every round, from its click to the page, and from its end to the page.

    Raises:
        InputError: no browser.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise InputError("there is no Chromium on the path; valid: chromium, chromium-browser or google-chrome")
    from playwright.sync_api import sync_playwright

    rounds, shown, clicked = list[tuple[float, float]](), list[float](), list[float]()
    with (
        patch.object(live, "opener", lambda given: _timed(opener(given), rounds)),
        bound(HOST, 0) as listening,
        sync_playwright() as playwright,
    ):
        server = Server(launch, listening)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        page.set_default_timeout(300_000)
        page.goto(server.url)
        page.get_by_role("tab", name="Live").click()
        page.locator(".walras-line").first.wait_for()
        for number in range(1, clicks + 1):
            time.sleep(0.5)  # what the last round left to draw is drawn
            clicked.append(time.time())
            shown.append(page.evaluate(WATCH, number))
            tell()
        browser.close()
        server.stop()
        thread.join()
    return (
        [end - begin for begin, end in rounds],
        [seen - click for seen, click in zip(shown, clicked, strict=True)],
        [seen - end for seen, (_, end) in zip(shown, rounds, strict=True)],
    )


def _timed(opening: Opening, rounds: list[tuple[float, float]]) -> Opening:
    """Markets that note when each of their rounds begins and ends."""

    def open_one(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        market, notes = opening(choice)
        step = market.step

        def timed() -> None:
            begin = time.time()
            step()
            rounds.append((begin, time.time()))

        vars(market)["step"] = timed
        return market, notes

    return open_one


if __name__ == "__main__":
    typer.run(main)
