"""Meanings, the sentences that state them, and how alike two meanings are; the grammar behind pairs.tsv.

A meaning is an event (a scene of a topic, affirmed or denied) with two participants and a time. A vocabulary (YAML)
gives every scene three wordings that share few words and one wording that denies it, and every participant and time
two names: one meaning has 3 x 2 x 2 x 2 sentences, each with the time in front or at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from walras.files.plain_data import read_yaml

PEOPLE = "people"  # in place of a scene's things: both participants are people and can change roles
Names = tuple[str, str]  # two ways to say one thing


@final
@dataclass(frozen=True)
class Scene:
    """One thing that can happen: the things it can happen to, its wordings, and a wording that denies it."""

    things: tuple[Names, ...]
    wordings: tuple[str, ...]
    denial: str
    reversible: bool


@final
@dataclass(frozen=True)
class Topic:
    """A field of life: its people and scenes."""

    people: tuple[Names, ...]
    scenes: tuple[Scene, ...]


@final
@dataclass(frozen=True)
class Vocabulary:
    """All that one split of the data talks about."""

    times: tuple[Names, ...]
    topics: tuple[Topic, ...]


@final
@dataclass(frozen=True)
class Meaning:
    """What a sentence states."""

    topic: Topic
    scene: Scene
    who: Names
    what: Names
    when: Names
    denied: bool = False


@final
@dataclass(frozen=True)
class Form:
    """How it is stated: which wording, which of the two names each time, and whether the time comes first."""

    wording: int
    who: int
    what: int
    when: int
    time_first: bool


def score(a: Meaning, b: Meaning) -> float:
    """Weight of what two meanings agree in, from 0 (nothing) to 5 (everything)."""
    agreements = (
        (1.0, a.topic == b.topic),
        (1.5, (a.scene, a.denied) == (b.scene, b.denied)),
        (1.0, a.who == b.who),
        (1.0, a.what == b.what),
        (0.5, a.when == b.when),
    )
    return sum(weight for weight, agrees in agreements if agrees)


def sentence(meaning: Meaning, form: Form) -> str:
    """The meaning in words, with a capital and a full stop."""
    scene = meaning.scene
    wording = scene.denial if meaning.denied else scene.wordings[form.wording]
    clause = wording.replace("WHO", meaning.who[form.who]).replace("WHAT", meaning.what[form.what])
    when = meaning.when[form.when]
    text = f"{when}, {clause}" if form.time_first else f"{clause} {when}"
    return f"{text[0].upper()}{text[1:]}."


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a YAML file; its own head says how it is laid out."""
    tree = read_yaml(path, "vocabulary")
    return Vocabulary(names(tree["times"]), tuple(read_topic(topic) for topic in tree["topics"].values()))


def read_topic(tree: dict[str, Any]) -> Topic:
    """One topic of the file."""
    people = names(tree["people"])
    scenes = (
        Scene(
            people if scene["what"] == PEOPLE else names(scene["what"]),
            tuple(scene["say"]),
            scene["deny"],
            scene["what"] == PEOPLE,
        )
        for scene in tree["scenes"]
    )
    return Topic(people, tuple(scenes))


def names(tree: Sequence[Sequence[str]]) -> tuple[Names, ...]:
    """Lists of two names as tuples."""
    return tuple((first, second) for first, second in tree)
