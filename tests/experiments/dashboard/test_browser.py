"""The dashboard in a real browser: every control is used, nothing goes wrong in the page, and nothing leaves it."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from walras.experiments.market_model.toy import toy
from walras.experiments.sparsifying.trace_table import write_part
from walras.experiments.store.run_folder import ROUNDS, write_table
from walras.market import TraceWriter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
WAIT = 60_000  # milliseconds; a machine that does much else is slow
SIZES = (400, 800, 1600)
expect.set_options(WAIT)


@dataclass
class Seen:
    """What a page said and asked for."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def asked(self, address: str, url: str) -> None:
        """Note a request of a page of `url`, unless it is to its own server."""
        if not address.startswith((url, url.replace("http:", "ws:"), "data:", "blob:")):
            self.outside.append(address)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run's folder, and one with a token trace."""
    place = tmp_path_factory.mktemp("folders")
    run, tokens = place / "run", place / "tokens"
    (run / "trace").mkdir(parents=True)
    market = toy(24, rounds=3, seed=1)
    for _ in market.remaining():
        market.step()
        TraceWriter(run / "trace")(market)
    write_table(run / ROUNDS, market.frame)
    (tokens / "trace").mkdir(parents=True)
    write_part(tokens / "trace" / "tokens-00000.parquet", token_frame())
    return run, tokens


def token_frame() -> pd.DataFrame:
    """A short text, in two layers of one map."""
    words = ["Markets", " clear", " at", " <b>", " prices", "."]
    return pd.DataFrame(
        [
            {
                "sequence": 0, "position": i, "token": word, "surprisal": float(i), "surprisal_by_lot": float(i),
                "layer": layer, "map": "ffn", "offered": 100, "kept": 10 * i, "price": 0.1, "spent": float(i),
                "surplus": 0.5,
            }
            for i, word in enumerate(words)
            for layer in range(2)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def process(folders: tuple[Path, Path]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A dashboard of made-up units, on a port of its own: its address, and its process."""
    line = [sys.executable, "-P", "-m", "walras", "dashboard", "--no-open", "--port", "0"]
    line += ["--toy", "--agents", "60", "--rounds", "40"]
    started = subprocess.Popen([*line, *map(str, folders)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert started.stdout is not None
    said = ""
    for text in started.stdout:
        said += text
        if (found := re.search(r"http://127\.0\.0\.1:\d+/", text)) is not None:
            yield found[0], started
            break
    else:
        pytest.fail(f"it did not start: {said}")
    started.kill()
    started.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def visit(browser: Browser, url: str, width: int = 1600, height: int = 1400) -> tuple[Page, Seen]:
    """A viewer of its own, whose errors and requests are noted."""
    page, seen = browser.new_context(viewport={"width": width, "height": height}).new_page(), Seen()
    page.set_default_timeout(WAIT)
    page.on("console", lambda told: seen.errors.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else seen.outside.append(asked.url),
    )
    page.on(
        "websocket", lambda one: None if one.url.startswith(url.replace("http", "ws")) else seen.outside.append(one.url)
    )
    page.goto(url)
    page.get_by_role("tab", name="Live").click()
    expect(page.locator(".walras-line").first).to_contain_text("Before round 1 of 40")
    return page, seen


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def says(page: Page, text: str | re.Pattern[str], number: int = 0) -> None:
    expect(page.locator(".walras-line").nth(number)).to_contain_text(text)


def choose(page: Page, label: str, option: str) -> None:
    """An entry of a menu."""
    page.get_by_label(label, exact=True).first.click(force=True)
    page.get_by_role("option", name=option, exact=True).last.click()


@pytest.mark.nightly
def test_every_control_does_what_it_says(
    browser: Browser, process: tuple[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    url, _ = process
    page, seen = visit(browser, url)
    page.screenshot(path=tmp_path / "start.png")

    press(page, "Step")
    says(page, "Round 1 of 40")
    for name in ("value", "wealth", "bid", "surplus", "gate"):
        page.get_by_role("button", name=name, exact=True).first.click()
    expect(page.locator(".walras-picture").first).to_contain_text("gate: 0 to 1")

    page.locator("[data-cells]").first.click(position={"x": 3, "y": 3})
    expect(page.get_by_role("button", name="Disable L0.H0 from the next round on")).to_be_visible()
    press(page, "Disable L0.H0 from the next round on")
    expect(page.get_by_text("L0.H0 breaks before round 2.")).to_be_visible()
    press(page, "Step")
    says(page, "disabled L0.H0")

    page.get_by_label("Search units").fill("L1.F")
    expect(page.locator(".walras-agents tbody tr").first).to_contain_text("L1.F")
    page.get_by_role("columnheader", name="layer").click()
    page.locator(".walras-agents tbody tr").first.click()
    expect(page.locator(".walras-picked")).to_contain_text("L1.F")
    page.screenshot(path=tmp_path / "middle.png")

    press(page, "Play")
    press(page, "Pause")
    press(page, "Play")
    says(page, "Round 40 of 40")
    page.screenshot(path=tmp_path / "end.png")

    choose(page, "Mechanism", "UniformPriceAuction")
    choose(page, "Mixed with", "shading")
    page.get_by_role("slider").first.focus()
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("Budget: 0% of the dense compute")).to_be_visible()
    press(page, "Reset to the new settings")
    expect(page.get_by_text("buys nothing")).to_be_visible()
    says(page, "Before round 1 of 40")

    page.get_by_text("Two markets side by side").click()
    says(page, "Before round 1 of 40", number=1)
    press(page, "Step")
    says(page, "Round 1 of 40", number=1)

    page.get_by_role("tab", name="Replay").click()
    says(page, "Round 1 of 3")
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    says(page, "Round 2 of 3")

    page.get_by_role("tab", name="Tokens").click()
    page.locator("[data-token='3']").click()
    expect(page.locator(".walras-cells")).to_contain_text("30%")
    choose(page, "Coloured by", "surprisal [nats]")
    expect(page.locator(".walras-legend")).to_contain_text("surprisal")

    page.get_by_role("tab", name="Live").click()  # the markets are still there
    says(page, "Round 1 of 40", number=1)
    assert [path.stat().st_size > 10_000 for path in sorted(tmp_path.glob("*.png"))] == [True] * 3
    assert seen.errors == seen.outside == []


@pytest.mark.nightly
def test_every_viewer_has_a_market_of_its_own(browser: Browser, process: tuple[str, subprocess.Popen[str]]) -> None:
    first, seen = visit(browser, process[0])
    second, _ = visit(browser, process[0])
    press(first, "Step")
    says(first, "Round 1 of 40")
    says(second, "Before round 1 of 40")
    assert seen.errors == seen.outside == []


@pytest.mark.nightly
def test_a_market_that_cannot_be_opened_says_why_and_the_server_lives(
    browser: Browser, process: tuple[str, subprocess.Popen[str]]
) -> None:
    page, seen = visit(browser, process[0])
    page.get_by_label("Shocks, as disable:L0.H1@3").fill("earthquake")
    page.get_by_label("Shocks, as disable:L0.H1@3").blur()
    press(page, "Reset to the new settings")
    expect(page.locator(".walras-error")).to_contain_text("shock is 'earthquake'")
    other, _ = visit(browser, process[0])
    press(other, "Step")
    says(other, "Round 1 of 40")
    assert seen.errors == seen.outside == []


CLICK = """name => [...document.querySelectorAll("button")]
    .filter(button => button.innerText.trim().toLowerCase() === name.toLowerCase() && !button.disabled)
    .map(button => button.click()).length"""


@pytest.mark.nightly
def test_fast_clicks_break_nothing(browser: Browser, process: tuple[str, subprocess.Popen[str]]) -> None:
    page, seen = visit(browser, process[0])
    clicked = 0
    for _ in range(20):
        for name in ("Step", "Reset", "Play", "Pause"):
            clicked += page.evaluate(CLICK, name)  # looks and clicks at once: a button may go between two calls
    assert clicked > 20
    press(page, "Reset")
    says(page, "Before round 1 of 40")
    assert seen.errors == seen.outside == []


@pytest.mark.nightly
@pytest.mark.parametrize("width", SIZES)
def test_nothing_is_wider_than_the_page(
    browser: Browser, process: tuple[str, subprocess.Popen[str]], width: int, tmp_path: Path
) -> None:
    page, seen = visit(browser, process[0], width, 900)
    page.screenshot(path=tmp_path / f"{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.errors == seen.outside == []


@pytest.mark.nightly
def test_how_long_a_click_takes_is_measured_to_the_page() -> None:
    line = [sys.executable, "-P", "-m", "walras.experiments.benchmarks.dashboard_click", "--toy", "30", "--clicks", "3"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    own, click, end = (float(seconds) for seconds in re.findall(r"median (\d+\.\d+) s", said))
    assert 0 < end < click
    assert own < click


@pytest.mark.nightly
def test_ctrl_c_ends_it_cleanly(folders: tuple[Path, Path]) -> None:
    line = [sys.executable, "-P", "-m", "walras", "dashboard", "--toy", "--no-open", "--port", "0"]
    started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert "http://127.0.0.1:" in started.stdout.readline()
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in errors
