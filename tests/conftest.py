"""Profiles of Hypothesis and of the suite: HYPOTHESIS_PROFILE chooses one.

`ci` is the default: 15 examples per property, the same in every run, the first 6 instances of a test that is
parametrised by `seed` or `instance`, 4 cases of a test marked `spread`, and no test marked `nightly`. `nightly` draws
150 examples, others every night, and runs all tests.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

DRAWS = 6  # instances per test in the profile `ci`
CASES = 4  # of a test marked `spread` in the profile `ci`
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"

settings.register_profile("ci", max_examples=15, derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=150, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long half of the suite to the nightly profile."""
    if NIGHTLY:
        return
    long = [item for item in items if item.get_closest_marker("nightly") or is_further_draw(item)]
    left_out = set(long)
    long += further_cases([item for item in items if item.get_closest_marker("spread") and item not in left_out])
    config.hook.pytest_deselected(items=long)
    left_out = set(long)
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note what a test that passed has tried: by its mark, or by `record_property("tried", (what, count))`."""
    mark = item.get_closest_marker("tried")
    if call.when == "call" and call.excinfo is None and mark is not None:
        item.user_properties.append(("tried", (f"{mark.args[0]}, {Path(item.path).stem}", mark.args[1])))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many faulty inputs and deaths the suite tried, by kind."""
    tried: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        if report.when == "call":
            for what, count in (value for name, value in report.user_properties if name == "tried"):
                tried[what] += count
    if tried:
        terminalreporter.section("tried and answered")
        for what, count in sorted(tried.items()):
            terminalreporter.write_line(f"{count:8,} {what}")


def further_cases(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of each test all cases but a few, which are spread evenly over them."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {cases[round(i * (len(cases) - 1) / (CASES - 1))].nodeid for cases in tests.values() for i in range(CASES)}
    return [item for item in items if item.nodeid not in kept]


def is_further_draw(item: pytest.Item) -> bool:
    """Whether a test is one of many random instances, and not one of the first."""
    values = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    drawn = (values.get(name) for name in ("seed", "instance"))
    return any(isinstance(number, int) and number >= DRAWS for number in drawn)
