"""Writes pairs.tsv, the built-in sentence pairs with graded similarity.

Run as `python -m walras.experiments.tasks.pairs.make_pairs`; the same file comes out, byte for byte. All text
is our own.

A pair is a meaning and a changed copy of it, each put into words by pairs_grammar.py. Its score is the weight of
what still agrees, from 0 to 5, by `pairs_grammar.score`; no model and no judgement enters. What is chosen freely
is the mix: how many pairs there are of each kind (KINDS) and how often a part of the sentence is put in other
words (REWORDED), which is the same for all kinds. Both were chosen so that the task is neither trivial nor hopeless
for a sentence encoder: on the dev split the Spearman correlation with the scores is 0.81 for the mean-pooled cosine
of all-MiniLM-L6-v2 and 0.41 for the share of common words. The splits share no topic, participant, time or wording.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, final

from walras.experiments.tasks.pairs.pairs_grammar import Form, Meaning, Vocabulary, read_vocabulary, score, sentence
from walras.files.writing import write_whole

FOLDER = Path(__file__).parent
SEED = 1874  # year of the Éléments d'économie politique pure
REWORDED = 0.8  # chance that a part of the form (wording, a name, the place of the time) differs in the other sentence
SIZES = {"train": 800, "dev": 500}
COLUMNS = ("split", "kind", "score", "sentence1", "sentence2")

T = TypeVar("T")
Change = Callable[[Meaning, Vocabulary, random.Random], Meaning]


@final
@dataclass(frozen=True)
class Kind:
    """A way to change a meaning, and how many per cent of the pairs it makes."""

    name: str
    per_cent: int
    change: Change


def choose(options: Sequence[T], rng: random.Random, *used: T) -> T:
    """One of the options that are not in use; only `random()` promises the same in every version of Python."""
    free = [option for option in options if option not in used]
    return free[int(rng.random() * len(free))]


def same(m: Meaning, _: Vocabulary, __: random.Random) -> Meaning:
    """Nothing changes: 5."""
    return m


def time(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """It happens at another time: 4.5."""
    return replace(m, when=choose(vocabulary.times, rng, m.when))


def who(m: Meaning, _: Vocabulary, rng: random.Random) -> Meaning:
    """Somebody else does it: 4."""
    return replace(m, who=choose(m.topic.people, rng, m.who, m.what))


def what(m: Meaning, _: Vocabulary, rng: random.Random) -> Meaning:
    """It is done to something else: 4."""
    return replace(m, what=choose(m.scene.things, rng, m.what, m.who))


def denial(m: Meaning, _: Vocabulary, __: random.Random) -> Meaning:
    """It does not happen: 3.5."""
    return replace(m, denied=True)


def both(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """Both participants change: 3."""
    return what(who(m, vocabulary, rng), vocabulary, rng)


def roles(m: Meaning, _: Vocabulary, __: random.Random) -> Meaning:
    """Two people change roles: 3."""
    return replace(m, who=m.what, what=m.who)


def scene_only(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """Participants and time change: 2.5."""
    return time(both(m, vocabulary, rng), vocabulary, rng)


def event(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """The same person does something else, half of the time at another time: 2.5 or 2."""
    scene = choose(m.topic.scenes, rng, m.scene)
    changed = replace(m, scene=scene, what=choose(scene.things, rng, m.who, m.what))
    return changed if rng.random() < 0.5 else time(changed, vocabulary, rng)


def event_and_who(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """Somebody else does something else, half of the time at another time: 1.5 or 1."""
    return event(who(m, vocabulary, rng), vocabulary, rng)


def topic(m: Meaning, vocabulary: Vocabulary, rng: random.Random) -> Meaning:
    """Another topic, half of the time at another time: 0.5 or 0."""
    changed = replace(new_meaning(vocabulary, rng, m), when=m.when)
    return changed if rng.random() < 0.5 else time(changed, vocabulary, rng)


KINDS = (
    Kind("same", 22, same),
    Kind("time", 6, time),
    Kind("who", 7, who),
    Kind("what", 7, what),
    Kind("denial", 4, denial),
    Kind("both", 6, both),
    Kind("roles", 3, roles),
    Kind("scene only", 5, scene_only),
    Kind("event", 12, event),
    Kind("event and who", 14, event_and_who),
    Kind("topic", 14, topic),
)


def new_meaning(
    vocabulary: Vocabulary, rng: random.Random, apart: Meaning | None = None, reversible: bool = False
) -> Meaning:
    """A meaning drawn at random: of another topic than `apart`; of two people only if `reversible`."""
    topics = [topic for topic in vocabulary.topics if apart is None or topic != apart.topic]
    scenes = [(topic, scene) for topic in topics for scene in topic.scenes if scene.reversible or not reversible]
    subject, scene = choose(scenes, rng)
    doer = choose(subject.people, rng)
    return Meaning(subject, scene, doer, choose(scene.things, rng, doer), choose(vocabulary.times, rng))


def new_form(rng: random.Random) -> Form:
    """A form drawn at random."""
    wording, doer, thing, when = (choose(range(n), rng) for n in (3, 2, 2, 2))
    return Form(wording, doer, thing, when, time_first=rng.random() < 0.5)


def reworded(form: Form, rng: random.Random) -> Form:
    """A form of which every part is changed with probability REWORDED."""
    change = [rng.random() < REWORDED for _ in range(5)]
    return Form(
        choose(range(3), rng, form.wording) if change[0] else form.wording,
        1 - form.who if change[1] else form.who,
        1 - form.what if change[2] else form.what,
        1 - form.when if change[3] else form.when,
        form.time_first != change[4],
    )


def pairs(split: str, vocabulary: Vocabulary, size: int) -> Iterator[tuple[str, ...]]:
    """Rows of COLUMNS in random order: no pair comes twice, in either order."""
    rng = random.Random(f"{SEED} {split}")
    seen: set[frozenset[str]] = set()
    rows = []
    for kind in KINDS:
        count = size * kind.per_cent // 100
        while count:
            meaning = new_meaning(vocabulary, rng, reversible=kind.change is roles)
            changed = kind.change(meaning, vocabulary, rng)
            form = new_form(rng)
            sentences = [sentence(meaning, form), sentence(changed, reworded(form, rng))]
            pair = frozenset(sentences)
            if len(pair) == 1 or pair in seen:
                continue
            seen.add(pair)
            first = int(rng.random() * 2)
            value = f"{score(meaning, changed):.1f}"
            rows.append((rng.random(), (split, kind.name, value, sentences[first], sentences[1 - first])))
            count -= 1
    yield from (row for _, row in sorted(rows))


def table() -> str:
    """The whole file."""
    rows: list[tuple[str, ...]] = [COLUMNS]
    for split, size in SIZES.items():
        rows.extend(pairs(split, read_vocabulary(FOLDER / f"pairs_{split}.yaml"), size))
    return "".join("\t".join(row) + "\n" for row in rows)


if __name__ == "__main__":
    write_whole(FOLDER / "pairs.tsv", table())
