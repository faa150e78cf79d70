"""From traces of answers to the threshold of each problem."""

from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import final

import numpy as np

from walras.errors import InputError
from walras.files.contents import brief
from walras.files.lines import fault, read_lines
from walras.files.plain_data import parse_json
from walras.files.record import Record


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

    Raises:
        InputError: a quantile that is no share.
    """
    if not 0 <= quantile <= 1:
        raise InputError(f"quantile is {quantile}; it must be a share from 0 to 1")
    lengths = [n for n, good in zip(problem.tokens, problem.correct, strict=True) if good]
    if lengths:
        return float(np.quantile(lengths, quantile))
    return nan if any(problem.censored) else inf


def read_problems(path: Path) -> list[Problem]:
    """Problems of a json lines file: {"text", "samples": [{"tokens", "correct", "censored" (false)}]}.

    Raises:
        InputError: no such file, or a line that is no such record, by number.
    """
    lines = enumerate(read_lines(path, "traces"), 1)
    problems = [_problem(f"line {number} of the traces", line) for number, line in lines if line.strip()]
    if not problems:
        raise InputError(f"{str(path)!r} holds no problem")
    return problems


def _problem(where: str, line: str) -> Problem:
    if wrong := fault(line):
        raise InputError(f"{where} {wrong}")
    try:
        content = parse_json(line)
    except ValueError as error:
        raise InputError(f'{where} is no {{"text", "samples": [{{"tokens", "correct"}}]}}: {brief(error)}') from error
    record = Record(content, where)
    text, samples = record.text("text"), record.records("samples")
    if not samples:
        raise InputError(f"{where} has no samples; valid: at least one")
    return Problem(
        text,
        tuple(sample.whole("tokens") for sample in samples),
        tuple(sample.flag("correct") for sample in samples),
        tuple(sample.flag("censored", default=False) for sample in samples),
    )
