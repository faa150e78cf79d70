"""Times as people write them, and what is none."""

import pytest

from walras.errors import InputError
from walras.experiments.queries.durations import seconds_of

TIMES = {
    "60s": 60, "500ms": 0.5, "1.5m": 90, " 2 h ": 7200, "30": 30, "1D": 86_400, "2min": 120, " .5 s": 0.5, "1e3": 1000,
}  # fmt: skip


@pytest.mark.parametrize("text", TIMES)
def test_times_are_read(text: str) -> None:
    assert seconds_of(text) == TIMES[text]


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "5 weeks", "nan", "inf", "0", "0s", "1e99d", "5s 5s", "\u0663s", "9" * 400, "1e9999"]
)
def test_what_is_none_is_told_with_its_option(text: str) -> None:
    with pytest.raises(InputError, match=r"--wait (is|in seconds is)"):
        seconds_of(text, "--wait")
