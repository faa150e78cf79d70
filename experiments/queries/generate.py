"""An example: a batch of prompts, a budget of tokens, and a real decoder that stops each answer at its grant.

    python -m walras.experiments.queries.generate --model FOLDER_OR_HUB_ID --budget 400 < prompts.txt

One prompt per line; its threshold is its number of words times --tokens-per-word, unless --predictor is given. Printed:
what each prompt was granted and truly spent, and what early ends left over.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import StoppingCriteria, StoppingCriteriaList

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import fail, output
from walras.experiments.queries.card import allocation_card
from walras.experiments.queries.predictors import Prediction, load_predictor
from walras.files.lines import fault, lines_of
from walras.market.queries import Allocation, Clear, Queries
from walras.models.loading import load


@final
class Grants(StoppingCriteria):
    """Ends every row of a batch at a number of new tokens of its own."""

    def __init__(self, prompt: int, grant: Tensor) -> None:
        self.prompt, self.grant = prompt, grant

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Bool [rows]: those that have had their grant."""
        del scores, kwargs
        return self.grant.to(input_ids.device) <= input_ids.shape[1] - self.prompt


@final
@dataclass(frozen=True, eq=False)
class Generated:
    """Answers [n] to prompts; tokens granted and spent [n]; nothing where nothing was granted."""

    allocation: Allocation
    answers: list[str]
    spent: NDArray[np.int64]


@torch.no_grad()
def generate(model: nn.Module, tokenizer: Any, prompts: list[str], told: Prediction, budget: float) -> Generated:
    """Clear the budget among the prompts, generate greedily to each grant, and count the tokens that came.

    Raises:
        InputError: no prompts, or a network without a language-model head.
    """
    if not prompts:
        raise InputError("there is no prompt: one per line of standard input")
    if not hasattr(model, "generate"):
        raise InputError(f"{type(model).__name__} generates no text")
    allocation = Clear()(Queries(told.threshold, weight=told.chance), budget)
    spent, answers = np.zeros(len(prompts), dtype=np.int64), [""] * len(prompts)
    funded = np.flatnonzero(allocation.tokens > 0)
    if len(funded):
        tokenizer.padding_side = "left"
        batch = tokenizer([prompts[i] for i in funded], return_tensors="pt", padding=True)
        batch = {k: v.to(next(model.parameters()).device) for k, v in batch.items() if k != "token_type_ids"}
        prompt, grant = batch["input_ids"].shape[1], torch.from_numpy(allocation.tokens[funded])
        sequences = model.generate(  # type: ignore[operator]  # a module's methods are untyped
            **batch, do_sample=False, max_new_tokens=int(grant.max()), pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([Grants(prompt, grant)]),
        )  # fmt: skip
        end = getattr(model.generation_config, "eos_token_id", None)
        ends = torch.tensor(end if isinstance(end, list) else [-1 if end is None else end])
        for row, place in enumerate(funded):
            new = sequences[row, prompt:].cpu()[: int(grant[row])]
            over = torch.isin(new, ends).nonzero()
            spent[place] = int(over[0]) + 1 if len(over) else len(new)
            answers[place] = tokenizer.decode(new[: spent[place]], skip_special_tokens=True)
    return Generated(allocation, answers, spent)


def main(
    model: Annotated[str, typer.Option(help="A decoder: folder or hub id.")],
    budget: Annotated[float, typer.Option(help="Tokens for all prompts.")],
    predictor: Annotated[Path | None, typer.Option(help="Folder of a threshold predictor.")] = None,
    tokens_per_word: Annotated[float, typer.Option(help="Threshold per word of a prompt, without a predictor.")] = 2.0,
) -> None:
    """Read prompts, allocate, generate, and show what was granted and what was spent."""
    try:
        lines = list(lines_of(sys.stdin.buffer))
        if problem := next((f"line {i} {wrong}" for i, line in enumerate(lines, 1) if (wrong := fault(line))), ""):
            raise InputError(problem)
        prompts = [line.strip() for line in lines if line.strip()]
        network, tokenizer = load(model, "causal")
        if predictor is None:
            words = np.array([len(prompt.split()) for prompt in prompts], dtype=np.float64)
            told = Prediction(tokens_per_word * words, np.ones(len(prompts)))
        else:
            told = load_predictor(predictor).predict(prompts)
        generated = generate(network, tokenizer, prompts, told, budget)
    except WalrasError as error:
        fail(error)
    console = output()
    console.print(allocation_card(generated.allocation.summary()))
    for prompt, granted, spent, answer in zip(
        prompts, generated.allocation.tokens, generated.spent, generated.answers, strict=True
    ):
        console.print(f"{granted:5} granted {spent:5} spent  {prompt[:40]!r} -> {answer[:60]!r}")
    console.print(f"{generated.spent.sum()} tokens generated of {generated.allocation.spent} granted")


if __name__ == "__main__":
    typer.run(main)
