"""Questions with numbers for answers: problems of GSM8K, and trivial ones that are made up; and how they are asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import isclose
from pathlib import Path
from typing import Any, final

import numpy as np

from walras.experiments.benchmarks.gsm8k import first_problems, last_number

_INSTRUCTION = "Solve the problem in short steps. End with '#### ' and the number."
_EXAMPLES = (
    ("A shop sells pens at $3 each. Mia buys 4 pens and pays with a $20 bill. How much change does she get?",
     "The pens cost 4 * 3 = 12 dollars. Mia gets 20 - 12 = 8 dollars. #### 8"),
    ("Ben reads 15 pages on Monday and twice as many on Tuesday. His book has 100 pages. How many pages are left?",
     "Ben reads 15 * 2 = 30 pages on Tuesday. He has read 15 + 30 = 45 pages. There are 100 - 45 = 55 pages left. "
     "#### 55"),
    ("What is 6 plus 7?", "6 + 7 = 13. #### 13"),
)  # fmt: skip
PREAMBLE = (
    {"role": "system", "content": _INSTRUCTION},
    *(
        {"role": role, "content": text}
        for pair in _EXAMPLES
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ),
)
"""Messages before every question: what is wanted, and examples made up for it."""
GSM8K, TRIVIAL = "gsm8k", "trivial"
_FORMS = (
    ("What is {a} plus {b}?", lambda a, b: a + b), ("What is {a} minus {b}?", lambda a, b: a - b),
    ("Repeat this number: {a}{b}", lambda a, b: int(f"{a}{b}")), ("Which number comes right after {a}{b}?",
     lambda a, b: int(f"{a}{b}") + 1),
    ("Which is larger, {a} or {b}?", max),
)  # fmt: skip


@final
@dataclass(frozen=True)
class Question:
    """A question, and the number that answers it.

    Attributes:
        id: of its own.
        kind: `gsm8k` or `trivial`.
        text: that a user would type.
        answer: the right number.
    """

    id: str
    kind: str
    text: str
    answer: float

    def body(self, model: str, limit: int) -> dict[str, Any]:
        """The request of a chat, decoded greedily, of at most so many tokens."""
        messages = [*PREAMBLE, {"role": "user", "content": self.text}]
        return {"model": model, "messages": messages, "temperature": 0.0, "max_tokens": limit}

    def right(self, text: str) -> bool:
        """Whether the last number of an answer is the right one."""
        found = last_number(text)
        return found is not None and isclose(found, self.answer, rel_tol=1e-9, abs_tol=1e-9)


def mixed(data: Path, split: str, problems: int, trivial: int, seed: int) -> list[Question]:
    """The first problems of a split of GSM8K and trivial questions, shuffled.

    Those of the two splits have nothing in common: trivial questions are drawn without repetition from one sequence, of
    which the training side has every other one.

    Args:
        data: folder with `train.jsonl` and `test.jsonl`.
        split: `train` or `test`.
        problems: of GSM8K.
        trivial: questions.
        seed: of the order, and of the trivial questions.

    Raises:
        InputError: no such file, or fewer problems.
    """
    told = enumerate(first_problems(data / f"{split}.jsonl", problems), 1)
    found = [Question(f"{GSM8K}-{split}-{i}", GSM8K, text, answer) for i, (text, answer) in told]
    easy = islice(_trivial(seed), ("train", "test").index(split), None, 2)
    for i, (text, answer) in enumerate(islice(easy, trivial)):
        found.append(Question(f"{TRIVIAL}-{split}-{i}", TRIVIAL, text, answer))
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]


def _trivial(seed: int) -> Iterator[tuple[str, float]]:
    """Questions and answers without end, none of them twice."""
    draw, known = np.random.default_rng(seed), set[str]()
    while True:
        form, answer = _FORMS[int(draw.integers(len(_FORMS)))]
        a, b = (int(n) for n in draw.integers(2, 1000, 2))
        text = form.format(a=a, b=b)
        if text not in known:
            known.add(text)
            yield text, float(answer(a, b))
