"""Facts about the built-in pairs: size, range, no doubles, splits apart, and the same file every time."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from walras.errors import UnknownNameError
from walras.experiments.tasks.data.rows import tsv_rows
from walras.experiments.tasks.pairs import make_pairs
from walras.experiments.tasks.pairs.pairs_file import PAIRS, read_pairs
from walras.experiments.tasks.pairs.pairs_grammar import Form, Meaning, Vocabulary, read_vocabulary, score, sentence

PRINT = (
    "import sys; from walras.experiments.tasks.pairs.make_pairs import table; sys.stdout.buffer.write(table().encode())"
)


def vocabulary(split: str) -> Vocabulary:
    return read_vocabulary(PAIRS.parent / f"pairs_{split}.yaml")


def phrases(split: str) -> set[str]:
    """Every name and wording of a split's vocabulary."""
    words = vocabulary(split)
    named = {name for names in words.times for name in names}
    for topic in words.topics:
        named |= {name for names in topic.people for name in names}
        for scene in topic.scenes:
            named |= {*scene.wordings, scene.denial, *(name for names in scene.things for name in names)}
    return named


@pytest.mark.parametrize(("split", "size"), [("train", 800), ("dev", 500)])
def test_size_range_and_spread(split: str, size: int) -> None:
    found = read_pairs(split)
    assert len(found) == size
    scores = Counter(example.label for example in found)
    assert set(scores) == {n / 2 for n in range(11)}
    assert min(scores.values()) >= size // 50
    lengths = [len(text.split()) for e in found for text in (e.first, e.second or "")]
    assert min(lengths) >= 6
    assert sum(lengths) / len(lengths) < 20


@pytest.mark.parametrize("split", ["train", "dev"])
def test_no_pair_comes_twice_and_none_repeats_a_sentence(split: str) -> None:
    found = [frozenset((e.first, e.second)) for e in read_pairs(split)]
    assert len(set(found)) == len(found)
    assert all(len(pair) == 2 for pair in found)


def test_splits_share_no_sentence_and_no_phrase() -> None:
    train, dev = ({text for e in read_pairs(s) for text in (e.first, e.second)} for s in ("train", "dev"))
    assert not train & dev
    assert not phrases("train") & phrases("dev")


def test_no_phrase_of_a_vocabulary_means_two_things() -> None:
    for split in ("train", "dev"):
        words = vocabulary(split)
        used = [name for names in words.times for name in names]
        for topic in words.topics:
            groups = {*topic.people, *(names for scene in topic.scenes for names in scene.things)}
            used += [name for names in groups for name in names]
            used += [w for scene in topic.scenes for w in (*scene.wordings, scene.denial)]
        assert [name for name, count in Counter(used).items() if count > 1] == []


def test_every_wording_names_both_participants_once() -> None:
    for split in ("train", "dev"):
        for topic in vocabulary(split).topics:
            assert len(topic.people) >= 4
            for scene in topic.scenes:
                assert len(set(scene.wordings)) == 3
                for wording in (*scene.wordings, scene.denial):
                    words = wording.replace(",", " ").split()
                    assert (words.count("WHO"), words.count("WHAT")) == (1, 1), wording


def test_score_is_the_weight_of_what_agrees() -> None:
    words = vocabulary("dev")
    topic, other = words.topics[:2]
    scene = topic.scenes[-1]
    a = Meaning(topic, scene, topic.people[0], topic.people[1], words.times[0])
    assert score(a, a) == 5.0
    assert score(a, replace(a, when=words.times[1])) == 4.5
    assert score(a, replace(a, who=topic.people[2])) == 4.0
    assert score(a, replace(a, denied=True)) == 3.5
    assert score(a, replace(a, who=a.what, what=a.who)) == 3.0
    assert score(a, replace(a, scene=topic.scenes[0], what=topic.scenes[0].things[0])) == 2.5
    unlike = Meaning(other, other.scenes[0], other.people[0], other.scenes[0].things[0], words.times[1])
    assert score(a, unlike) == 0.0


def test_kinds_give_the_scores_they_state() -> None:
    stated = {kind.name: kind.change.__doc__ or "" for kind in make_pairs.KINDS}
    for _, row in tsv_rows(PAIRS):
        assert f"{float(str(row['score'])):g}" in stated[str(row["kind"])].split(": ")[1].rstrip(".").split(" or ")
    assert sum(kind.per_cent for kind in make_pairs.KINDS) == 100


def test_sentences() -> None:
    words = vocabulary("dev")
    topic = words.topics[0]
    scene = topic.scenes[0]
    meaning = Meaning(topic, scene, topic.people[0], scene.things[0], words.times[0])
    form = Form(wording=1, who=1, what=0, when=0, time_first=True)
    first = "On Monday morning, lentil soup was kept bubbling over a low flame by the head cook."
    assert sentence(meaning, form) == first
    last = "The head cook never left lentil soup simmering on the stove early on Monday."
    assert sentence(replace(meaning, denied=True), replace(form, when=1, time_first=False)) == last


def test_unknown_split() -> None:
    with pytest.raises(UnknownNameError, match="unknown split 'test'"):
        read_pairs("test")


def test_the_generator_gives_the_shipped_file() -> None:
    assert make_pairs.table().encode() == PAIRS.read_bytes()


@pytest.mark.nightly
def test_another_hash_seed_gives_the_shipped_file(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "4321"}
    run = subprocess.run([sys.executable, "-c", PRINT], env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert run.stdout == PAIRS.read_bytes()
