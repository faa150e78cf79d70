"""Real answers of real models to problems of known difficulty, as tokens needed.

Folder `reasoning-gym-eval` of the traces of "Reasoning Gym" (arXiv 2505.24760): greedy answers of Qwen2.5-3B-Instruct
to six sets, and 50 samples a problem of a Llama 3B to two. Tokens are counted by the WordPiece tokenizer of
all-MiniLM-L6-v2, since the models' own are not at hand; only ratios of budgets to lengths matter here.
"""

from pathlib import Path
from typing import Any

from walras.experiments.queries.predictors import Problem
from walras.experiments.tasks.data.rows import json_rows
from walras.files.plain_data import read_json
from walras.files.record import Record
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
    path = folder / f"Qwen2.5-3B-Instruct_{name}_greedy.jsonl"
    records = [Record(row, f"{path}, line {number}") for number, row in json_rows(path)]
    lengths = [len(ids) for ids in count([r.texts("code")[0] for r in records], add_special_tokens=False)["input_ids"]]
    return [
        Problem(str(r.content.get("question")), (n,), (bool(r.items("score")[0]),), (False,))
        for r, n in zip(records, lengths, strict=True)
    ]


def sampled(folder: Path, name: str, count: Any) -> list[Problem]:
    """50 answers a problem, cut off at 2,048 tokens of the model's: one that is not correct counts as censored."""
    path = folder / f"llama-3b_step400_{name}_x50.json"
    content = Record(read_json(path, "answers"), f"answers {str(path)!r}")
    found = []
    for result in content.records("categories")[0].records("datasets")[0].records("results"):
        answers = result.records("completions")
        ids = count([a.text("full_model_response") for a in answers], add_special_tokens=False)["input_ids"]
        correct = tuple(a.number("score") >= 1 for a in answers)
        found.append(Problem(result.text("question"), tuple(map(len, ids)), correct, tuple(not c for c in correct)))
    return found
