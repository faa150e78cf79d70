"""A quadratic model of the loss, learnt once, in the place of the network."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration
from walras.agents.valuations.valuation import Valuation


@final
@dataclass(frozen=True)
class QuadraticSurrogate(Valuation):
    """A unit is worth what removing it costs in a quadratic model of the loss, given which others have left.

    No network is run after the first call.

        loss(gates) - loss(1) = d' F d / 2,   d = 1 - gates,   F = G' G / samples

    with G [samples, n] the gradients of each sample's loss with respect to the gates of the dense network: the
    empirical Fisher information, as in Kwon et al., across sub-layers. G is taken from the network once, at the first
    call; after that

        value_i = F_ii / 2 + sum_{j != i} F_ij d_j

    takes 2 * samples * n operations per round. It holds substitutes and complements to second order and nothing else:
    neither what the loss does further from the dense network, nor repairs. It is for markets of many rounds or many
    agents, not for the final choice.
    """

    name: ClassVar[str] = "quadratic-surrogate"
    unit: ClassVar[str] = "surrogate rise of the loss"
    source: ClassVar[str] = "Kwon et al. 2022, arXiv 2204.09656, section 3.1"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Values [n], those below 0 taken for 0; of a unit that has left, what its coming back would save."""
        del generator
        gradients = calibration.dense_gradients
        gone = (1 - gates.detach()).to(gradients)
        own = calibration.dense_information
        together = (gradients @ gone) @ gradients / len(gradients)
        return (own / 2 + together - own * gone).clamp(min=0).to(gates.device)
