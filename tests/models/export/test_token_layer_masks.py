"""A layer in two calls knows one kind of mask; and in bfloat16 it is nearer to float32 than the class of the layer."""

import copy
from typing import Any

import pytest
import torch

from walras.models.export import token_layers
from walras.models.export.token_layers import _is_row, _mask
from walras.models.tokens.runtime import sparse
from walras.models.tokens.token_map import token_maps


def everything_bought(model: Any) -> Any:
    """At prices of 0, at which rounding lets nobody else buy; without biases in the FFNs."""
    model = copy.deepcopy(model)
    for layer in model.model.layers:
        for part in layer.mlp.children():
            part.bias = None
    maps = token_maps(model)
    return sparse(model, maps, {m.path: torch.ones(m.bidders) for m in maps}, {m.path: 0.0 for m in maps})


def last(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits of the last token behind a cache of the others; mask [batch, tokens] or [batch, heads, 1, tokens]."""
    with torch.no_grad():
        cache = model(input_ids=ids[:, :-1], attention_mask=mask if mask.ndim == 2 else None, use_cache=True)
        given = {"attention_mask": mask, "past_key_values": cache.past_key_values, "use_cache": True}
        logits: torch.Tensor = model(input_ids=ids[:, -1:], **given).logits
    return logits.float()


def test_a_mask_per_head(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every head looks at tokens of its own; the loops would show all of them those of the first."""
    tested = tiny("llama")
    model, ids = everything_bought(tested.model), tested.batch["input_ids"][:1]
    model.set_attn_implementation("sdpa")
    mask = torch.zeros(1, 6, 1, ids.shape[1])
    mask[0, torch.arange(6), 0, torch.arange(6)] = -1e4
    found = last(model, ids, mask)
    monkeypatch.setattr(token_layers.MarketLayer, "_arrays", lambda layer: None)
    torch.testing.assert_close(found, last(model, ids, mask), rtol=0, atol=2e-5)
    assert not torch.allclose(found, last(model, ids, mask[:, :1]), atol=1e-3)


def test_masks_of_other_forms() -> None:
    assert _is_row(None)
    assert _is_row(torch.zeros(1, 1, 1, 5))
    assert not _is_row(torch.zeros(1, 2, 1, 5))
    with pytest.raises(ValueError, match="tells of 4 tokens, and keys and values are of 5"):
        _mask(torch.zeros(1, 1, 1, 4), 5)


@pytest.mark.parametrize("kind", ["mistral", pytest.param("qwen2", marks=pytest.mark.nightly)])
def test_bfloat16_is_nearer_to_float32_than_the_class(kind: str, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind padding on the left; Mistral's window of six tokens hides what lies further back.

    The mean over eight texts: for one of them alone, rounding may favour either.
    """
    model = everything_bought(tiny(kind).model).to(torch.bfloat16)
    exact = copy.deepcopy(model).float()
    texts = torch.randint(5, model.config.vocab_size, (8, 1, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(texts[0])
    mask[0, :4] = 0
    expected = torch.cat([last(exact, ids, mask) for ids in texts])
    found = torch.cat([last(model, ids, mask) for ids in texts])
    unmasked = torch.cat([last(exact, ids, torch.ones_like(mask)) for ids in texts])
    assert not torch.allclose(expected, unmasked, atol=1e-2)
    monkeypatch.setattr(token_layers.MarketLayer, "_arrays", lambda layer: None)
    by_class = torch.cat([last(model, ids, mask) for ids in texts])
    assert float((found - expected).abs().max() / expected.abs().max()) < 0.03
    assert float((found - expected).square().mean()) < 0.8 * float((by_class - expected).square().mean())
