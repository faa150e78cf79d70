"""REAP's score of experts, against its formula written out token by token."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from walras.agents import REAP, Calibration
from walras.errors import InputError
from walras.models import inventory, macs
from walras.models.objective import GivenLoss

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))
SIZES: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 20, "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "norm_topk_prob": False},
    "granitemoe": {"num_local_experts": 5, "num_experts_per_tok": 2},
}


def network(family: str) -> Any:
    torch.manual_seed(0)
    causal: Any = AutoModelForCausalLM
    model = causal.from_config(AutoConfig.for_model(family, **SIZES, **FAMILIES[family]))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape) * weight.shape[-1] ** -0.5)
    return model.eval()


def batches() -> list[dict[str, Tensor]]:
    ids = torch.randint(4, 41, (6, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return [{"input_ids": ids[:4], "attention_mask": mask[:4]}, {"input_ids": ids[4:], "attention_mask": mask[4:]}]


def calibration(model: Any, kinds: list[str]) -> Calibration:
    units = inventory(model, kinds)
    return Calibration(model, units, NO_LOSS, batches(), macs(model, units, 7).share)


@torch.no_grad()
def by_hand(model: Any, family: str) -> list[float]:
    """From the states that enter the mixtures, router and experts written out for every token."""
    found: list[float] = []
    for layer in model.model.layers:
        block = layer.block_sparse_moe if family == "granitemoe" else layer.mlp
        router = block.router if family == "granitemoe" else block.gate
        seen: list[Tensor] = []
        handle = block.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            for batch in batches():
                model(**batch)
        handle.remove()
        sums, counts = [0.0] * 5, [0] * 5
        for states, batch in zip(seen, batches(), strict=True):
            for x in states[batch["attention_mask"].bool()]:
                p = (router.weight @ x).softmax(0)
                best = p.topk(2).indices.tolist()
                for e in best:
                    share = float(p[e] if family == "qwen3_moe" else p[e] / p[best].sum())
                    gate, up = (block.experts.gate_up_proj[e] @ x).chunk(2)
                    written = block.experts.down_proj[e] @ (torch.nn.functional.silu(gate) * up)
                    sums[e] += share * float(written.norm())
                    counts[e] += 1
        found += [s / max(c, 1) for s, c in zip(sums, counts, strict=True)]
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_formula(family: str, generator: torch.Generator) -> None:
    model = network(family)
    value = REAP()(calibration(model, ["expert"]), torch.ones(10), generator)
    assert value.dtype == torch.float64
    assert value.tolist() == pytest.approx(by_hand(model, family), rel=1e-5)
    assert float(value.min()) > 0


def test_a_closed_expert_is_worth_nothing_and_its_tokens_go_elsewhere(generator: torch.Generator) -> None:
    model = network("mixtral")
    gates = torch.ones(10)
    dense = REAP()(calibration(model, ["expert"]), gates, generator)
    gates[1] = 0
    value = REAP()(calibration(model, ["expert"]), gates, generator)
    assert float(value[1]) == 0
    assert not torch.equal(value[[0, 2, 3, 4]], dense[[0, 2, 3, 4]])
    gates[2:5] = 0
    alone = REAP()(calibration(model, ["expert"]), gates, generator)  # fewer than a token is given
    assert (alone[:5] > 0).tolist() == [True, False, False, False, False]


def test_other_units_are_refused(generator: torch.Generator) -> None:
    message = r"reap values experts alone; L0\.H0 is of kind 'head': trade experts only \(--units expert\)"
    with pytest.raises(InputError, match=message):
        REAP()(calibration(network("mixtral"), ["head", "expert"]), torch.ones(14), generator)
