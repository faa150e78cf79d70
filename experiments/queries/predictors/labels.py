"""From traces of answers to the threshold of each problem."""

import json
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any, final

import numpy as np

from walras.errors import InputError


@final
@dataclass(frozen=True)
class Problem:
    """A query and its answers: tokens and correctness of each, and whether it was cut off before it was done."""

    text: str
    tokens: tuple[int, ...]
    correct: tuple[bool, ...]
    censored: tuple[bool, ...]


def threshold_label(problem: Problem, quantile: float = 0.1) -> float:
    """A low quantile of the lengths of correct answers: fewer tokens hardly ever sufficed.

    Without a correct answer: inf (insolvent), or NaN where one was cut off and might have become correct (censored).
    The quantile is our choice; the paper's labels are not known.
    """
    lengths = [n for n, good in zip(problem.tokens, problem.correct, strict=True) if good]
    if lengths:
        return float(np.quantile(lengths, quantile))
    return nan if any(problem.censored) else inf


def read_problems(path: Path) -> list[Problem]:
    """Problems of a json lines file: {"text", "samples": [{"tokens", "correct", "censored" (false)}]}.

    Raises:
        InputError: no such file, or a line that is no such record, by number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read traces {str(path)!r}: {error}") from error
    problems = [_problem(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not problems:
        raise InputError(f"{str(path)!r} holds no problem")
    return problems


def _problem(number: int, line: str) -> Problem:
    try:
        record: Any = json.loads(line)
        samples = record["samples"]
        tokens = tuple(int(s["tokens"]) for s in samples)
        if not samples or min(tokens) < 0:
            raise InputError(f"line {number} of the traces has no samples, or tokens below 0")
        correct, censored = (tuple(bool(s.get(key)) for s in samples) for key in ("correct", "censored"))
        return Problem(str(record["text"]), tokens, correct, censored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'line {number} of the traces is no {{"text", "samples": [{{"tokens", "correct"}}]}}: '
            f"{type(error).__name__} {error}"
        ) from error
