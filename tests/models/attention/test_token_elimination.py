"""Token elimination: the same as closing the keys of those that left, at fewer rows; its MACs are those that run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from walras.errors import InputError
from walras.models import ARCHITECTURES, inventory, macs
from walras.models.architectures import layer_paths, submodule
from walras.models.attention import AttentionRule, Softmax, attention_market
from walras.models.attention.token_elimination import _chosen, can_eliminate, elimination_macs, token_elimination
from walras.models.resources.macs import PARTS

ENCODERS = [name for name, row in ARCHITECTURES.items() if row.along_tokens]
K = 4


@dataclass(frozen=True)
class Closing(AttentionRule):
    """Softmax over the keys [batch, keys] that stayed, as if the others were padding."""

    stay: Tensor

    def __call__(self, scores: Tensor) -> Tensor:
        return Softmax()(scores.masked_fill(~self.stay[:, None, None], -torch.inf))

    def market(self, scores: Tensor) -> Any:
        raise NotImplementedError


@contextmanager
def outputs_of(model: nn.Module) -> Iterator[list[Tensor]]:
    """States out of every layer at the last forward pass."""
    layers = [submodule(model, path) for path in layer_paths(model)]
    seen = [torch.empty(0)] * len(layers)

    def take(i: int, output: Any) -> None:
        seen[i] = (output[0] if isinstance(output, tuple) else output).detach()

    handles = [
        layer.register_forward_hook(lambda _m, _a, output, i=i: take(i, output)) for i, layer in enumerate(layers)
    ]
    yield seen
    for handle in handles:
        handle.remove()


def received(tested: Any) -> tuple[Tensor, Tensor]:
    """Attention [batch, tokens] that tokens get in the first layer from real queries, and which tokens are real."""
    seen: list[Tensor] = []
    with torch.no_grad(), attention_market(tested.model, Softmax(), lambda layer, s, w: seen.append(w)):
        tested.logits()
    mask = tested.batch.get("attention_mask", torch.ones(len(seen[0]), tested.length)).bool()
    return torch.einsum("bhqk,bq->bk", seen[0], mask.to(seen[0])), mask


def expected_stay(tested: Any) -> Tensor:
    """Bool [batch, tokens], found row by row in plain Python; padding never stays."""
    amount, real = received(tested)
    stay = torch.zeros_like(real)
    for b in range(len(amount)):
        order = sorted((i for i in range(1, tested.length) if real[b, i]), key=lambda i: -amount[b, i].item())
        stay[b, [0, *order[: K - 1]]] = True
    return stay


@pytest.mark.spread
@pytest.mark.parametrize("encoder", ENCODERS)
def test_equal_to_closing_the_keys_of_those_that_left(encoder: str, tiny: Any) -> None:
    tested = tiny(encoder, dtype=torch.float64)
    stay = expected_stay(tested)
    assert 0 < stay.sum() < stay.numel()
    rules = [None, *[Closing(stay)] * (len(layer_paths(tested.model)) - 1)]
    with torch.no_grad(), attention_market(tested.model, rules), outputs_of(tested.model) as closed:
        tested.logits()
    with torch.no_grad(), token_elimination(tested.model, K), outputs_of(tested.model) as cut:
        tested.logits()
    assert [len(states[0]) for states in cut] == [tested.length, *[K] * (len(cut) - 2), tested.length]
    real = stay | tested.batch.get("attention_mask", torch.ones_like(stay)).bool()
    torch.testing.assert_close(cut[-1][stay], closed[-1][stay], rtol=0, atol=1e-9)
    torch.testing.assert_close(cut[-1][real & ~stay], closed[0][real & ~stay], rtol=0, atol=1e-12)


@pytest.mark.spread
@pytest.mark.parametrize("encoder", ENCODERS)
def test_macs_are_those_that_run(encoder: str, tiny: Any) -> None:
    """By layer: all projections below it, and what is left is scores and mix. Sequences without padding."""
    tested = tiny(encoder)
    costs = elimination_macs(tested.model, inventory(tested.model), tested.length, K)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), token_elimination(tested.model, K), counter:
        tested.logits(**{name: x[:1] for name, x in tested.batch.items()})
    counts, row = counter.get_flop_counts(), ARCHITECTURES[encoder]
    for i, path in enumerate(layer_paths(tested.model)):
        where, own = f"{type(tested.model).__name__}.{path}", costs.inventory.layer == i
        total = {part: float(costs.parts[part][own].sum()) for part in PARTS}
        assert sum(counts[where].values()) / 2 == pytest.approx(sum(total.values()), rel=1e-12), i
        maps = {row.heads.output: total["output"], row.ffn.output: total["ffn_out"]}
        maps |= {p.path: sum(total[part] for part in p.parts) for p in row.heads.inputs}
        for below, expected in maps.items():
            assert sum(counts[f"{where}.{below}"].values()) / 2 == pytest.approx(expected, rel=1e-12), below


@pytest.mark.parametrize("encoder", ENCODERS)
def test_nobody_leaves_where_all_fit(encoder: str, tiny: Any) -> None:
    tested = tiny(encoder)
    with torch.no_grad():
        dense = tested.logits()
        with token_elimination(tested.model, tested.length):
            torch.testing.assert_close(tested.logits(), dense, rtol=0, atol=2e-6)
        with token_elimination(tested.model, 1):
            assert not torch.allclose(tested.logits(), dense, atol=1e-4)
        torch.testing.assert_close(tested.logits(), dense, rtol=0, atol=0)  # and the model is as it was
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in tested.model.modules())


def test_rows_of_a_batch_do_not_touch_each_other(tiny: Any) -> None:
    tested = tiny("bert", dtype=torch.float64)
    with torch.no_grad(), token_elimination(tested.model, K):
        together = tested.logits()
        for i in range(len(together)):
            alone = tested.model(**tested.row(i)).logits[0]
            torch.testing.assert_close(alone, together[i], rtol=0, atol=1e-12)


def test_padding_on_the_left(tiny: Any) -> None:
    """The first real token stays, wherever it stands."""
    tested = tiny("bert", dtype=torch.float64)
    ids, mask = tested.batch["input_ids"], torch.ones(4, tested.length, dtype=torch.long)
    mask[1, :5] = 0
    seen: list[Tensor] = []
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad(), token_elimination(tested.model, 2, lambda layer, s, w: seen.append(s)):
        padded = tested.model(input_ids=ids, attention_mask=mask, position_ids=positions)
        short = tested.model(input_ids=ids[1:2, 5:], attention_mask=mask[1:2, 5:])
    del padded, short
    whole, short_whole = seen[1][1], seen[4][0]
    torch.testing.assert_close(whole, short_whole, rtol=0, atol=1e-12)


def test_watch_is_shown_those_that_stayed(tiny: Any) -> None:
    tested = tiny("bert")
    shapes: list[tuple[int, ...]] = []
    with torch.no_grad(), token_elimination(tested.model, K, lambda layer, s, w: shapes.append((layer, *w.shape))):
        tested.logits()
    assert shapes == [(0, 4, 4, 9, 9), (1, 4, 4, K, K), (2, 4, 4, K, K)]


def test_choice_by_hand() -> None:
    """Two heads; token 0 is padding, so nobody asks what it looks at; a token of no weight is better than padding."""
    scores = torch.zeros(1, 2, 4, 4)
    scores[..., 0] = -torch.inf
    weights = torch.tensor([[[9.0, 9, 9, 9], [0, 0.5, 0, 0.5], [0, 0, 0, 1], [0, 1, 0, 0]]] * 2).unsqueeze(0)
    assert [_chosen(scores, weights, k).tolist() for k in (1, 2, 3, 4)] == [
        [[1]],
        [[1, 3]],
        [[1, 3, 2]],
        [[1, 3, 2, 0]],
    ]
    scores[..., 0] = 0
    assert _chosen(scores, weights, 4).tolist() == [[0, 1, 3, 2]]
    assert _chosen(scores, torch.ones(1, 2, 4, 4), 3).tolist() == [[0, 1, 2]]


def test_undone_on_an_error(tiny: Any) -> None:
    tested = tiny("bert")
    before = tested.logits()
    with pytest.raises(RuntimeError, match="own"), token_elimination(tested.model, 2):
        raise RuntimeError("own")
    torch.testing.assert_close(tested.logits(), before, rtol=0, atol=0)


def test_paper_1_at_512_tokens() -> None:
    """papers.md, D5: BERT-base, the first layer dense and the others on k tokens."""
    with torch.device("meta"):
        bert = BertModel(BertConfig())
    units = inventory(bert)
    found = [elimination_macs(bert, units, 512, k).dense / 1e9 for k in (512, 256, 128, 64, 32)]
    assert found == pytest.approx([48.318, 25.1, 14.3, 9.1, 6.5], abs=0.05)
    assert elimination_macs(bert, units, 512, 600).dense == macs(bert, units, 512).dense


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_is_a_whole_number(k: Any, tiny: Any) -> None:
    model = tiny("bert").model
    for call in (
        lambda: elimination_macs(model, inventory(model), 9, k),
        lambda: token_elimination(model, k).__enter__(),
    ):
        with pytest.raises(InputError, match=f"k is {k!r}"):
            call()


def test_decoders_are_refused(decoder: str, tiny: Any) -> None:
    model = tiny(decoder).model
    assert not can_eliminate(model)
    with pytest.raises(InputError, match="is a decoder: tokens cannot leave"), token_elimination(model, 2):
        pass
    with pytest.raises(InputError, match="is a decoder"):
        elimination_macs(model, inventory(model), 9, 2)


def test_encoders_that_decode_or_have_one_layer() -> None:
    small: dict[str, Any] = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    with (
        pytest.raises(InputError, match="is a decoder"),
        token_elimination(BertModel(BertConfig(**small, num_hidden_layers=2, is_decoder=True)), 2),
    ):
        pass
    one = BertModel(BertConfig(**small, num_hidden_layers=1))
    assert not can_eliminate(one)
    with pytest.raises(InputError, match="has one layer"), token_elimination(one, 2):
        pass
