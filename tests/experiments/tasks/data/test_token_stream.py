"""A text as one stream: pieces give the tokens of the whole, and spans the text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from walras.errors import InputError
from walras.experiments.tasks.data import token_stream
from walras.experiments.tasks.data.token_stream import pieces, stream

TEXT = " \n = Ärger im Haus = \n \n The cat sat on the mat , né 猫 . \n The dog  ran \t on . \n \n = Fin = \n" * 3


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Byte-level BPE in small."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False))
    wrapped: Any = PreTrainedTokenizerFast
    return wrapped(tokenizer_object=bpe)


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_pieces_give_the_tokens_of_the_whole(tokenizer: Any, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(token_stream, "PIECE", size)
    stream.cache_clear()
    found = stream(tokenizer, TEXT)
    assert found.ids.tolist() == tokenizer(TEXT).input_ids
    assert tokenizer.decode(found.ids, clean_up_tokenization_spaces=False) == TEXT
    for start, stop in ((0, 5), (5, 17), (17, len(found.ids))):
        decoded = tokenizer.decode(found.ids[start:stop], clean_up_tokenization_spaces=False)
        assert found.span(start, stop) == decoded


def test_a_text_is_tokenized_once(tokenizer: Any) -> None:
    assert stream(tokenizer, TEXT) is stream(tokenizer, TEXT)


@given(st.text(st.sampled_from("a \n\té"), max_size=40), st.integers(1, 9))
def test_nothing_is_lost_between_pieces(text: str, size: int) -> None:
    found = list(pieces(text, size))
    assert "".join(found) == text
    assert all(piece == piece.rstrip() != "" for piece in found[:-1])


def test_a_tokenizer_that_tells_no_places() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str) -> None:
            raise AssertionError(text)

    with pytest.raises(InputError, match="Slow does not tell where its tokens end"):
        stream(Slow(), "text")
