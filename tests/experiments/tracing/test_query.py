"""Conditions on the rows of a trace: all that pandas can say of columns, and no code."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import walras
from walras.errors import InputError
from walras.experiments.tracing.query import select


def _trace() -> pd.DataFrame:
    market = walras.toy(12, 3, rounds=2)
    while market.running:
        market.step()
    return market.trace()


TRACE = _trace()
COLUMNS = list(TRACE.columns)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("layer == 2 and kind == 'head'", lambda t: (t["layer"] == 2) & (t["kind"] == "head")),
        ("layer == 2 & kind == 'head'", lambda t: (t["layer"] == 2) & (t["kind"] == "head")),
        ("not (round == 1) or index > 0", lambda t: (t["round"] != 1) | (t["index"] > 0)),
        ("~(quantity > 0)", lambda t: ~(t["quantity"] > 0)),
        ("agent in ['L0.H0', 'L1.H0']", lambda t: t["agent"].isin(["L0.H0", "L1.H0"])),
        ("layer not in (0, 2)", lambda t: ~t["layer"].isin([0, 2])),
        ("0 < layer <= 2", lambda t: (t["layer"] > 0) & (t["layer"] <= 2)),
        ("value / cost > 2 * price + 1", lambda t: t["value"] / t["cost"] > 2 * t["price"] + 1),
        ("index % 2 == 1 and -value < -0.5", lambda t: (t["index"] % 2 == 1) & (t["value"] > 0.5)),
        ("round == last and quantity == 0", lambda t: (t["round"] == 2) & (t["quantity"] == 0)),
        ("kind != 'nothing'", lambda t: t["value"] >= 0),
        ("  layer == 1  ", lambda t: t["layer"] == 1),
        ("value in [-1, 2.5]", lambda t: t["value"].isin([-1, 2.5])),
    ],
)
def test_conditions_mean_what_pandas_means(condition: str, expected: Any) -> None:
    pd.testing.assert_frame_equal(select(TRACE, condition), TRACE[expected(TRACE)])


HOSTILE = [
    ("__import__('os').system('touch HARM')", r"__import__\('os'\)\.system\('touch HARM'\)\" calls something"),
    ("agent.str.len() > 3", r"'agent\.str\.len\(\)' calls something"),
    ("layer.values == 1", "'layer.values' reads an attribute"),
    ("@TRACE == 1", "cannot be read"),
    ("layer == @pd", "cannot be read"),
    ("`layer` == 1", "cannot be read"),
    ("wealthy > 1", "'wealthy' is no column; valid: .* columns round, agent, kind"),
    ("layer[0] == 1", "'layer\\[0\\]' takes a part of something"),
    ("(lambda: 1) == layer", "is a function"),
    ("(x := 3) > layer", "assigns something"),
    ("layer = 3", "cannot be read"),
    ("f'{layer}' == 'a'", "is a text with values in it"),
    ("9 ** 9 ** 9 ** 9 > layer", "has an operator that is not allowed"),
    ("layer << 99999999999 > 1", "has an operator that is not allowed"),
    ("'a' * 99999999999 == agent", "reckons with what is no number"),
    ("[1] * 99999999999 == layer", "is not allowed"),
    ("agent in agent", "is no list of numbers or texts"),
    ("agent in [layer]", "is no list of numbers or texts"),
    ("layer is 3", "has an operator that is not allowed"),
    ("1 if layer else 2", "is not allowed"),
    ("[x for x in agent]", "is not allowed"),
    ("layer == None", "'None' is not allowed"),
    ("layer == b'a'", "is not allowed"),
    ("layer == 1j", "'1j' is not allowed"),
    ("", "cannot be read"),
    ("layer ==", "cannot be read"),
    ("layer == 1; layer == 2", "cannot be read"),
    ("layer", "is no condition; it must be true or false of each row"),
    ("3", "is no condition"),
    ("kind > 3", "cannot be worked out"),
    ("layer == 1 " + "or layer == 1 " * 200, "characters; it may have 2000"),
    ("(" * 900 + "layer == 1" + ")" * 900, "cannot be"),
    ("layer == 1\0", "cannot be"),
]


@pytest.mark.parametrize(("condition", "message"), HOSTILE)
@pytest.mark.tried("hostile conditions on a trace", 1)
def test_nothing_else_is_run(condition: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        select(TRACE, condition)
    assert not list(tmp_path.iterdir())


WORDS = st.sampled_from(
    [*COLUMNS, "and", "or", "not", "in", "==", "<", ">", "!=", "(", ")", "+", "-", "*", "/", "**", "&", "|", "~", "@",
     ".", "[", "]", ",", "1", "0.5", "'head'", "__class__", "lambda", ":", "=", "`", "exec", "#", "\n"]
)  # fmt: skip


@pytest.mark.nightly
@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=30))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with suppress(InputError):
        found = select(TRACE, text)
        assert set(found.index) <= set(TRACE.index)
        assert "@" not in text.partition("#")[0]
        assert "__class__" not in text.partition("#")[0]


@given(
    st.sampled_from(["layer", "index", "round"]),
    st.sampled_from(["<", "<=", "==", "!=", ">", ">="]),
    st.integers(-3, 5),
    st.booleans(),
)
def test_a_condition_and_its_opposite_part_the_rows(column: str, sign: str, number: int, brackets: bool) -> None:
    condition = f"{column} {sign} {number}"
    these = select(TRACE, f"({condition})" if brackets else condition)
    others = select(TRACE, f"not ({condition})")
    assert sorted([*these.index, *others.index]) == list(TRACE.index)
