"""Real answers of real models to problems of known difficulty, as tokens needed.

Folder `reasoning-gym-eval` of the traces of "Reasoning Gym" (arXiv 2505.24760): greedy answers of Qwen2.5-3B-Instruct
to six sets, and 50 samples a problem of a Llama 3B to two. Tokens are counted by the WordPiece tokenizer of
all-MiniLM-L6-v2, since the models' own are not at hand; only ratios of budgets to lengths matter here.
"""

import json
from pathlib import Path
from typing import Any

from walras.errors import InputError
from walras.experiments.queries.predictors import Problem
from walras.models.loading import DEFAULT_MODEL, load

SETS = ("gsm8k", "svamp", "minerva_math", "olympiadbench", "amc23", "aime24")
SAMPLED = ("amc23", "aime2024")


def tokenizer() -> Any:
    """The one by which tokens are counted."""
    found = load(DEFAULT_MODEL, device="cpu").tokenizer
    found.model_max_length = 10**9  # counting only
    return found


def greedy(folder: Path, name: str, count: Any) -> list[Problem]:
    """One answer a problem: solved in so many tokens, or not solved by this model."""
    records = [json.loads(line) for line in _read(folder / f"Qwen2.5-3B-Instruct_{name}_greedy.jsonl").splitlines()]
    lengths = [len(ids) for ids in count([r["code"][0] for r in records], add_special_tokens=False)["input_ids"]]
    return [
        Problem(str(r["question"]), (n,), (bool(r["score"][0]),), (False,))
        for r, n in zip(records, lengths, strict=True)
    ]


def sampled(folder: Path, name: str, count: Any) -> list[Problem]:
    """50 answers a problem, cut off at 2,048 tokens of the model's: one that is not correct counts as censored."""
    content = json.loads(_read(folder / f"llama-3b_step400_{name}_x50.json"))
    found = []
    for result in content["categories"][0]["datasets"][0]["results"]:
        answers = result["completions"]
        ids = count([a["full_model_response"] for a in answers], add_special_tokens=False)["input_ids"]
        correct = tuple(float(a["score"]) >= 1 for a in answers)
        found.append(Problem(result["question"], tuple(map(len, ids)), correct, tuple(not c for c in correct)))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
