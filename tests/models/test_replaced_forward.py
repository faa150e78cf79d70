"""A forward pass that is replaced for a while, and comes back."""

import pytest
import torch
from torch import nn

from walras.models.replaced_forward import ReplacedForward, replaced_forward


def test_the_forward_pass_is_replaced_and_comes_back() -> None:
    module, x = nn.Linear(2, 2), torch.ones(1, 2)
    expected = module(x)
    with replaced_forward(module, lambda x: x + 1):
        with replaced_forward(module, lambda x: x + 2):
            assert bool((module(x) == 3).all())
        assert bool((module(x) == 2).all())
    torch.testing.assert_close(module(x), expected, rtol=0, atol=0)
    assert "forward" not in vars(module)


def test_it_comes_back_after_a_failure() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="stop"), replaced_forward(module, lambda x: x):
        raise RuntimeError("stop")
    assert "forward" not in vars(module)


def test_removed_twice_it_leaves_alone_what_was_put_on_since() -> None:
    module, x = nn.Linear(2, 2), torch.ones(1, 2)
    replaced = ReplacedForward(module, lambda x: x + 1)
    replaced.remove()
    later = ReplacedForward(module, lambda x: x + 2)
    replaced.remove()
    assert bool((module(x) == 3).all())
    later.remove()
    assert "forward" not in vars(module)


def test_hooks_see_what_is_replaced() -> None:
    module, seen = nn.Linear(2, 2), list[torch.Tensor]()
    module.register_forward_hook(lambda _, __, output: seen.append(output))
    with replaced_forward(module, lambda x: x * 3):
        module(torch.ones(1, 2))
    assert bool((seen[0] == 3).all())
