"""Problems of GSM8K as they are read, and the number that counts as the answer."""

import json
from pathlib import Path

import pytest

from walras.errors import InputError
from walras.experiments.benchmarks.gsm8k import first_problems, last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 18", 18), ("so 3 x 6 = $1,234.50.", 1234.5), ("-7", -7), ("1 and 2\n", 2), ("5,", 5),
        ("so \\boxed{18}.", 18), ("#### 1,234", 1234), ("2 + 3.5 = 5.5 dollars", 5.5), ("it fell to -4", -4),
        ("72.", 72), ("no idea", None),
    ],
)  # fmt: skip
def test_the_last_number_is_the_answer(text: str, number: float | None) -> None:
    assert last_number(text) == number


def test_the_first_problems_and_their_solutions(tmp_path: Path) -> None:
    told = [{"question": f"q{i}", "answer": f"2 + 2 = 4\n#### {i},000"} for i in range(1, 5)]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    assert first_problems(file, 2) == [("q1", 1000.0), ("q2", 2000.0)]
    with pytest.raises(InputError, match="has 4 problems; 5 are asked for"):
        first_problems(file, 5)
    file.write_text(json.dumps({"question": "q", "answer": "#### none"}))
    with pytest.raises(InputError, match="line 1: the answer has no number after ####"):
        first_problems(file, 1)
