"""What a network's weights become when units have left: the interface, and the walk from the bottom to the top."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.models.architectures import layers_of
from walras.models.export.copying import shared_copy
from walras.models.objective import Batch
from walras.models.repair.dense_streams import DenseStreams
from walras.models.repair.gain import Gain
from walras.models.repair.last_norm import last_norms
from walras.models.repair.layerwise_runner import LayerwiseRunner, check_streams
from walras.models.repair.streams import by_length, refittable
from walras.models.units.gates import gated, skipping
from walras.models.units.inventory import Inventory, sites_and_layers
from walras.models.units.mixtures import MIXTURE, MixtureLayer
from walras.models.units.projections import outputs_first
from walras.models.units.site import Site


@final
class Reading(NamedTuple):
    """What passes at a sub-layer in one batch, in the units of the residual stream; rows are the real tokens.

    S and S' are the residual streams after the sub-layer in the dense network and now. Behind a norm all is as if it
    divided a token by what it divides it by in the dense network (see `Gain`): features, and the 1 of a bias, are
    divided by that, and S' is what the stream would be then.
    """

    features: Tensor  # X [tokens, k], those that are left
    ones: Tensor  # [tokens, 1], by which a bias is multiplied
    gap: Tensor  # S - S' [tokens, hidden]
    local: Tensor | None  # [tokens, hidden]: of the gap what left here; the rest was lost further down

    @property
    def left_here(self) -> Tensor:
        """`local`, where the repair `watches_gone`."""
        assert self.local is not None, "what has left is not computed"
        return self.local


@final
@dataclass(frozen=True, eq=False)
class PrunedSublayer:
    """A sub-layer from which, or from further down, units have left: as it is now, and in the dense network."""

    model: nn.Module
    site: Site
    projection: nn.Module  # the output projection, which a repair changes
    features: Tensor  # [k] places of the input features that are left
    now: LayerwiseRunner
    before: DenseStreams
    gain: Gain  # what lies between the projection and the residual stream
    watches_gone: bool = True  # whether what has left is computed, so that it can be read

    @property
    def columns(self) -> Tensor:
        """What each feature that is left adds to the residual stream, [hidden, k], but for the rows of the gain."""
        weight = outputs_first(self.projection).index_select(1, self.features)
        return weight * self.gain.columns.unsqueeze(1)

    def read(self) -> Iterator["Reading"]:
        """Batch by batch, in float32 at least."""
        weight = outputs_first(self.projection)
        gone = torch.ones(weight.shape[1], dtype=torch.bool, device=weight.device)
        gone[self.features] = False
        lost = (weight[:, gone] * self.gain.columns.unsqueeze(1)).T
        for new, old in zip(self.now.read(self.site), self.before.read(self.site), strict=True):
            wide = torch.promote_types(new.features.dtype, torch.float32)
            rows = self.gain.rows(old.output)
            gap, ones = old.total.to(wide) - new.total.to(wide) + self.gain.excess(new.output, rows), rows.to(wide)
            local = new.whole[:, gone].to(wide) @ lost.to(wide) * ones if self.watches_gone else None
            yield Reading(new.features.index_select(-1, self.features).to(wide) * ones, ones, gap, local)

    def change(self, weight: Tensor | None, bias: Tensor | None) -> None:
        """Add to the projection what adds so much to the stream: V [k, hidden] for X V, c [hidden] for ones c."""
        if weight is not None:
            own = outputs_first(self.projection)
            old = own.index_select(1, self.features).to(weight.dtype)
            own[:, self.features] = (old + self.gain.undone(weight).T).to(own.dtype)
        if bias is not None:
            own = self.projection.get_parameter("bias")
            own.copy_(own.to(bias.dtype) + self.gain.undone(bias))


@final
@dataclass(frozen=True, eq=False)
class PrunedMixture:
    """A mixture of experts of which, or from further down, units have left: as it is now, and in the dense network."""

    site: Site
    mixture: MixtureLayer  # whose router and output weights a repair changes
    dense: MixtureLayer
    keep: Tensor  # bool [experts]
    now: LayerwiseRunner
    before: DenseStreams

    @property
    def wide(self) -> torch.dtype:
        """In which products are taken: the network's precision, float32 at least."""
        return torch.promote_types(self.mixture.output_weight.dtype, torch.float32)

    def read(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batch by batch, in float32 at least: X', X, gap S - S'; rows are the real tokens.

        X' and X [tokens, hidden] are what enters router and experts now and in the dense network, S and S'
        [tokens, hidden] the residual streams after the sub-layer.
        """
        for new, old in zip(self.now.read(self.site), self.before.read(self.site), strict=True):
            wide = self.wide
            yield new.whole.to(wide), old.entering.to(wide), old.total.to(wide) - new.total.to(wide)


@final
@dataclass(frozen=True, eq=False)
class ModelPair:
    """A network and the dense one that it is a copy of, side by side, on the same batches.

    Both are held weakly. Where sub-layers are repaired one at a time, from the bottom to the top, what entered the
    layer of the last one is kept, so that the next repair need not begin at the bottom. Use as a context, or `close`.
    """

    inventory: Inventory
    now: LayerwiseRunner
    before: DenseStreams

    @staticmethod
    def from_models(model: nn.Module, dense: nn.Module, inventory: Inventory, batches: Sequence[Batch]) -> "ModelPair":
        """`model` is what will be repaired."""
        regrouped = by_length(batches)
        fitted = zip(inventory.sites, refittable(dense, inventory), strict=True)
        read = [site for site, fits in fitted if fits or site.sublayer == MIXTURE]
        before = DenseStreams(dense, regrouped, read)
        return ModelPair(inventory, LayerwiseRunner(model, regrouped), before)

    def __enter__(self) -> "ModelPair":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is kept."""
        self.now.close()
        self.before.close()


def repairable_copy(model: nn.Module, inventory: Inventory) -> nn.Module:
    """A copy that a repair may change while `model` stays as it is: it owns what repairs change and shares the rest.

    These are output projections, of mixtures the routers and what experts write with, and of language models the norm
    in front of the head.

    Nothing but a repair may change either of the two in place as long as both are in use.

    Raises:
        InputError: an inventory of another model.
    """
    places = sites_and_layers(model, inventory)
    own = [own for site, layer in places for own in site.kind.repaired(layer, site)]
    return shared_copy(model, own=[*own, *(p for norm in last_norms(model) for p in norm.parameters())])


def check_repairable(model: nn.Module, inventory: Inventory) -> None:
    """Refuse a model of which nobody knows how what a projection writes reaches the residual stream.

    Raises:
        InputError: naming the setting or the module.
    """
    check_streams(model)
    for site, layer in sites_and_layers(model, inventory):
        if site.kind.projection(layer, site) is not None:
            Gain.of(layer, layer.below(site.path))


class Repair(ABC):
    """Changes what is left of a network so that it does again what the dense network does.

    Concrete repairs are final frozen dataclasses. They change output projections only, and of mixtures routers and what
    experts write with, so that slicing cuts a repaired network as it cuts any other.
    """

    fits_stream: ClassVar[bool] = True
    """Whether it fits what is added to the residual stream, which must be what output projections write then."""

    tokens_per_feature: int = 0
    """Tokens on which it is fitted at least, for each input of the widest output projection; 0: those at hand."""

    @torch.no_grad()
    def __call__(self, pair: ModelPair, keep: NDArray[np.bool_], sites: Sequence[Site] | None = None) -> None:
        """Repair the network of the pair in place, in which only the units of `keep` [n] are to stay.

        Goes through the sub-layers `sites`, all by default, from the bottom to the top. Those with nothing gone, there
        or further down, stay as they are, and so do mixtures of experts where the repair leaves them. Batches are gone
        through several times.
        """
        model, inventory, now = pair.now.model, pair.inventory, pair.now
        device = next(model.parameters()).device
        layers = layers_of(model)
        outputs = {site.path: site.kind.projection(layer, site) for site, layer in sites_and_layers(model, inventory)}
        gates = torch.tensor(keep, dtype=torch.get_default_dtype(), device=device)
        leaving_out = nullcontext() if self.watches_gone else skipping(model, inventory, torch.from_numpy(keep))
        with gated(model, inventory, gates), leaving_out:
            for site in inventory.sites if sites is None else sites:
                projection, stays = outputs[site.path], torch.from_numpy(keep[site.units])[site.owner].to(device)
                mixture = projection is None and site.sublayer == MIXTURE
                if (projection is None and not (mixture and self.mixtures)) or keep[: site.units.stop].all():
                    continue
                now.advance_to(site.layer, gates[: site.units.start])
                if projection is None:
                    here, there = (
                        MixtureLayer.of_layer(of[site.layer]) for of in (layers, layers_of(pair.before.model))
                    )
                    kept = stays.view(here.count, -1)[:, 0]
                    goes_on = self.repair_mixture(PrunedMixture(site, here, there, kept, now, pair.before))
                else:
                    layer, features = layers[site.layer], stays.nonzero().flatten()
                    gain = Gain.of(layer, layer.below(site.path)) if self.fits_stream else Gain.none(projection)
                    goes_on = self.repair_sublayer(
                        PrunedSublayer(model, site, projection, features, now, pair.before, gain, self.watches_gone)
                    )
                if not goes_on:
                    return

    @property
    def mixtures(self) -> bool:
        """Whether it changes mixtures of experts."""
        return False

    @property
    def watches_gone(self) -> bool:
        """Whether it looks at what units that have left would compute; that is left out else."""
        return True

    @abstractmethod
    def repair_sublayer(self, pruned: PrunedSublayer) -> bool:
        """Repair one sub-layer in place; whether to go on with those above."""

    def repair_mixture(self, pruned: PrunedMixture) -> bool:
        """The same of a mixture of experts, which is asked for where `mixtures` says so."""
        del pruned
        return True
