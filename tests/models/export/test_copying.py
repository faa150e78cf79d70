"""Who owns what after slicing and copying, and how much memory it takes."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from walras.models import compact, gated, inventory
from walras.models.export.copying import shared_copy
from walras.models.repair.last_norm import last_norms
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import ModelPair, repairable_copy


def storages(model: nn.Module) -> set[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}


def half(model: nn.Module) -> tuple[Any, Any]:
    units = inventory(model, block=8)
    return units, np.arange(len(units)) % 2 == 0


def test_what_is_sliced_owns_its_weights_or_shares_them_where_asked(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units, keep = half(tested.model)
    own, shared = compact(tested.model, units, keep), compact(tested.model, units, keep, share=True)
    with torch.no_grad():
        expected = tested.logits(own)
        assert torch.equal(tested.logits(shared), expected)
        assert not storages(own) & storages(tested.model)
        assert storages(shared) & storages(tested.model)
        cut = {n for n, p in own.named_parameters() if p.shape != dict(tested.model.named_parameters())[n].shape}
        for name, parameter in shared.named_parameters():
            lone = parameter.numel() == 0 or parameter.untyped_storage().data_ptr() not in storages(tested.model)
            assert lone == (name in cut), name
        for parameter in tested.model.parameters():
            parameter.zero_()
        assert torch.equal(tested.logits(own), expected)
        assert not torch.equal(tested.logits(shared), expected)


def test_gradients_and_flags_of_a_sharing_copy_are_its_own(tiny: Any) -> None:
    tested = tiny("bert")
    units, keep = half(tested.model)
    tested.model.bert.embeddings.requires_grad_(False)
    shared = compact(tested.model, units, keep, share=True)
    assert not shared.get_submodule("bert.embeddings.word_embeddings").get_parameter("weight").requires_grad
    shared.requires_grad_(True)
    assert not any(p.requires_grad for p in tested.model.bert.embeddings.parameters())
    tested.logits(shared).sum().backward()
    assert all(p.grad is None for p in tested.model.parameters())


@pytest.mark.parametrize("share", [False, True])
def test_tied_weights_stay_tied(share: bool, tiny: Any) -> None:
    model = tiny("gpt2").model
    assert model.lm_head.weight is model.transformer.wte.weight
    units, keep = half(model)
    small: Any = compact(model, units, keep, share=share)
    assert small.lm_head.weight is small.transformer.wte.weight
    assert small.lm_head.weight is not model.lm_head.weight


def test_a_repair_leaves_the_network_that_its_copy_shares_weights_with_as_it_was(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units, keep = half(tested.model)
    before = {name: tensor.clone() for name, tensor in tested.model.state_dict().items()}
    copied = repairable_copy(tested.model, units)
    owned = {n for n, p in copied.named_parameters() if p.untyped_storage().data_ptr() not in storages(tested.model)}
    norms = last_norms(copied)  # of language models
    paths = [site.path for site in units.sites] + [path for path, m in copied.named_modules() if m in norms]
    assert owned == {n for n in before if n.rpartition(".")[0] in paths}
    with ModelPair.from_models(copied, tested.model, units, [tested.batch]) as pair:
        LeastSquares()(pair, keep)
    after: dict[str, Tensor] = tested.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad(), gated(tested.model, units, torch.from_numpy(keep).float()):
        assert not torch.equal(tested.logits(copied), tested.logits())


def test_a_copy_that_shares_everything(tiny: Any) -> None:
    tested = tiny("modernbert")
    copied = shared_copy(tested.model)
    assert storages(copied) == storages(tested.model)
    assert copied is not tested.model
    assert torch.equal(tested.logits(copied), tested.logits())


GROWTH = """
import resource, sys
import numpy as np, torch
from transformers import BertConfig, BertModel
from walras.models import compact, inventory
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
config = BertConfig(vocab_size=1000, hidden_size=1024, num_attention_heads=16, intermediate_size=4096,
                    num_hidden_layers=6)
model = BertModel(config)
units = inventory(model)
keep = np.arange(len(units)) % 4 == 0
compact(model, units, np.ones(len(units), dtype=bool), share=True)
before = peak()
small = compact(model, units, keep, share=sys.argv[1] == "share")
size = lambda m: sum(p.numel() for p in m.parameters()) * 4 / 2**20
print(peak() - before, size(model), size(small))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["share", "own"])
def test_slicing_takes_no_more_memory_than_the_smaller_network(mode: str) -> None:
    ran = subprocess.run([sys.executable, "-c", GROWTH, mode], capture_output=True, text=True, check=True)
    grown, dense, small = map(float, ran.stdout.split())
    assert dense > 280  # MiB
    assert grown < small + 40
