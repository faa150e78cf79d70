"""Questions put to a server of OpenAI's API, to it alone or through a gateway of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import httpx

from walras.errors import InputError
from walras.experiments.benchmarks.reasoning.served_questions import Question
from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.serving import serving
from walras.experiments.gateway.settings import Settings

LIMIT = 120
"""Tokens that a request allows itself, also where nothing else limits it."""
_UNFUNDED = 429


@final
@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        id: of the question.
        kind: of the question.
        text: of the answer; "" without one.
        right: its last number is the right one.
        used: tokens.
        cut: it ended because its tokens did.
        granted: tokens; those that the request allows itself, where no gateway grants them.
        price: that it met; 0 without a gateway.
    """

    id: str
    kind: str
    text: str
    right: bool
    used: int
    cut: bool
    granted: int
    price: float

    @property
    def funded(self) -> bool:
        """Whether there is an answer."""
        return self.granted > 0

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Asker:
    """Asks a model at one address.

    Attributes:
        url: of the API, with `/v1`.
        model: its name.
        limit: tokens that each request allows itself.
    """

    url: str
    model: str
    limit: int = LIMIT

    async def ask(self, questions: Sequence[Question], at_once: int, tell: Callable[[Answer], object]) -> list[Answer]:
        """Put questions in their order, of which so many wait for an answer at once; answers in the order of questions.

        Args:
            questions: to be put.
            at_once: questions.
            tell: hears of every answer, as they come.

        Raises:
            InputError: the server cannot be reached, or refuses a request.
        """
        waiting, found = iter(enumerate(questions)), dict[int, Answer]()

        async def one_after_another(client: httpx.AsyncClient) -> None:
            for place, question in waiting:
                found[place] = await self._answer(client, question)
                tell(found[place])

        async with _client() as client:
            tasks = [asyncio.ensure_future(one_after_another(client)) for _ in range(at_once)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return [found[place] for place in range(len(questions))]

    async def _answer(self, client: httpx.AsyncClient, question: Question) -> Answer:
        reply = await client.post(f"{self.url}/chat/completions", json=question.body(self.model, self.limit))
        told = reply.headers
        granted, price = int(told.get("x-walras-granted", self.limit)), float(told.get("x-walras-price", 0.0))
        if reply.status_code == _UNFUNDED:
            return Answer(question.id, question.kind, "", False, 0, False, 0, price)
        if reply.status_code != httpx.codes.OK:
            raise InputError(f"{self.url} answers {question.id} with status {reply.status_code}: {reply.text[:200]}")
        choice, used = reply.json()["choices"][0], int(reply.json()["usage"]["completion_tokens"])
        text, cut = choice["message"]["content"] or "", choice["finish_reason"] == "length"
        return Answer(question.id, question.kind, text, question.right(text), used, cut, granted, price)


@asynccontextmanager
async def _client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that waits as long as it takes."""
    try:
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            yield client
    except httpx.HTTPError as error:
        raise InputError(f"the server cannot be worked with: {type(error).__name__} {error}") from error


@contextmanager
def gateway(upstream: str, budget: float, requests: int, policy: str, predictor: Path) -> Iterator[str]:
    """The address of a gateway that remembers nothing and has one budget for so many requests."""
    with TemporaryDirectory() as state:
        settings = Settings(
            upstream, budget, policy=policy, window=requests, predictor=predictor, state=Path(state) / "state",
            dialect="openai", upstream_timeout=1e5,
        )  # fmt: skip
        with serving(Gateway(settings)) as address:
            yield f"{address}/v1"
