"""Strategies and mixed populations by the texts that a user types."""

from pathlib import Path

import pytest

from walras.agents import EXP3, STRATEGIES, VALUATIONS, Hedge, Mixture, Shading, Shapley, Truthful
from walras.errors import InputError, UnknownNameError

OWN = """
from dataclasses import dataclass
from walras.agents import Strategy

@dataclass(frozen=True)
class Mine(Strategy):
    rate: float = 1.0
    name = "mine"

    def bid(self, info, generator):
        return self.rate * info.value
"""


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("shading", Shading()),
        ("Shading:factor=.5", Shading(0.5)),
        ("hedge:rate=1e+1", Hedge(rate=10.0)),
        ("hedge:rate=.1,factors=0/0.5/1", Hedge((0.0, 0.5, 1.0), 0.1)),
        ("EXP3:gamma=.1", EXP3(gamma=0.1)),
    ],
)
def test_a_single_strategy(text: str, made: object) -> None:
    assert STRATEGIES.make(text) == made
    assert STRATEGIES.make(STRATEGIES.spelled(text)) == made
    assert STRATEGIES.make(STRATEGIES.spelled(made)) == made


LEARNERS = "truthful=0.8+hedge:rate=0.1=0.2"


@pytest.mark.parametrize(
    ("text", "parts", "shares", "spelled"),
    [
        ("truthful=0.75, shading=0.25", (Truthful(), Shading()), (0.75, 0.25), "truthful=0.75+shading=0.25"),
        ("Truthful=.8 + Hedge:rate=.1=.2", (Truthful(), Hedge(rate=0.1)), (0.8, 0.2), LEARNERS),
        ("truthful=0.8,hedge:rate=.1=0.2", (Truthful(), Hedge(rate=0.1)), (0.8, 0.2), LEARNERS),
        (
            "hedge:rate=1e+1,factors=0/1=0.5+exp3:gamma=.1=5e-1",
            (Hedge((0.0, 1.0), 10.0), EXP3(gamma=0.1)),
            (0.5, 0.5),
            "hedge:rate=10.0,factors=0.0/1.0=0.5+exp3:gamma=0.1=0.5",
        ),
        ("truthful=1.", (Truthful(),), (1.0,), "truthful=1.0"),
    ],
)  # fmt: skip
def test_a_mixed_population(text: str, parts: object, shares: object, spelled: str) -> None:
    for given in (text, spelled, STRATEGIES.spelled(STRATEGIES.make(text))):
        mixed = STRATEGIES.make(given)
        assert isinstance(mixed, Mixture)
        assert (mixed.parts, mixed.shares) == (parts, shares)
    assert STRATEGIES.spelled(text) == spelled


def test_strategies_of_the_users_own_in_a_mixture(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    for text, rate in ((f"{file}:Mine=0.5,truthful=0.5", 1.0), (f"{file}:Mine:rate=3=0.5+truthful=0.5", 3.0)):
        mixed = STRATEGIES.make(text)
        assert isinstance(mixed, Mixture)
        assert [type(part).__name__ for part in mixed.parts] == ["Mine", "Truthful"]
        assert vars(mixed.parts[0])["rate"] == rate
    single = STRATEGIES.make(f"{file}:Mine:rate=3")
    assert (type(single).__name__, single.rate) == ("Mine", 3.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("truthful=0.8,shading", InputError, r"strategy 'shading' of 'truthful=0.8,shading' names no share"),
        ("truthful,shading=0.2", InputError, "strategy 'truthful' of .* names no share"),
        ("truthful=0.8+hedge:rate=fast", InputError, "strategy 'hedge:rate=fast' of .* names no share"),
        ("truthful=0.8+shading=0.3", InputError, r"1\.1 together; they must add up to 1"),
        ("truthful=0.8+nobody=0.2", UnknownNameError, "unknown strategy 'nobody'"),
        ("truthful=0.8+hedge:speed=1=0.2", UnknownNameError, "parameter of strategy hedge 'speed'.*rate"),
        ("hedge:factors=0.5", InputError, "at least two numbers"),
        ("hedge:factors=0/high", InputError, "factors of strategy hedge is 'high'; it must be of type float"),
    ],
)
def test_bad_texts(text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        STRATEGIES.make(text)


def test_every_entry_says_in_a_sentence_what_it_does() -> None:
    for registry in (STRATEGIES, VALUATIONS):
        for entry in registry.describe():
            assert len(entry.about.split()) > 5
            assert entry.about.split()[0] in ("A", "An", "Agents")
            assert not {"score", "arm", "place"} & {parameter.name for parameter in entry.parameters}  # what is learnt


def test_valuations_take_parameters() -> None:
    assert VALUATIONS.make("shapley:permutations=256") == Shapley(256)
    assert VALUATIONS.spelled(Shapley(256, antithetic=False)) == "shapley:permutations=256,antithetic=False"
    assert VALUATIONS.canonical("Partial_Fisher") == "partial-fisher"
