"""A price of compute in anybody's training: units pay while weights are trained, and those that lose are cut out."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.subjects.objectives import Loss
from walras.experiments.training.price.distilled import Distilled
from walras.experiments.training.price.economy import Economy
from walras.experiments.training.price.gate_rates import gates_factor
from walras.experiments.training.price.given import Given
from walras.experiments.training.price.moments import Moments, check_trains, replace_parameters
from walras.experiments.training.price.network import check_cut, mean_of_processes, network_of
from walras.experiments.training.price.priced_network import PricedNetwork
from walras.experiments.training.price.priced_step import PricedStep
from walras.experiments.training.price.saved import SavedPrice
from walras.experiments.training.price.settings import PriceSettings
from walras.market.pricing import Cleared, Pricing
from walras.models.export.in_place import cut_in_place, save_as_export
from walras.models.objective import Batch, Objective
from walras.models.units.gates import Gates, attach
from walras.models.units.weights import fold


@final
class Price:
    """What the units of a network pay for compute while it is trained, until they settle.

        price = walras.Price(model, optimizer, steps=3 * len(loader), batches=batches, budget=0.5)
        for batch in loader:
            loss = model(**batch).loss + price.penalty()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            price.step()

    For the first `priced` share of the steps every head and block of FFN neurons has a gate. `penalty` is added to the
    loss of each batch, and `step` follows the optimizer's. Then units settle: those that lost are cut out of the model
    itself, which the optimizer goes on with, from its moments. `model.save_pretrained` writes the smaller model then.

    Args:
        model: what is trained: a network of transformers, or something that holds one.
        optimizer: of its weights, whose moments are cut as the weights are.
        steps: of the optimizer, in the whole training.
        batches: as the network takes them, on which units are valued and weights repaired: a few dozen sentences at
            least. With labels, or `loss`, they also say what the loss is in the beginning.
        loss: a function of the network and a batch, or the number that it begins with, where batches have no labels.
        objective: by which units are valued; by default how far outputs move or, with `label_free=False`, the loss that
            the network computes itself.
        dense: the network before training, where `model` has begun already; a copy of `model` by default.
        saved: what `saved()` was when training was interrupted, and the price goes on from. Load weights and the
            optimizer's state afterwards: where units had settled, the model gets their shapes here.
        settings: budget, pricing, price, mechanism, valuation, repair, ...: those of `walras train`, and `cut`.

    Attributes:
        keep: units of the dense network that stay, bool [n], once they have settled; None before.

    Raises:
        InputError: bad settings; no units; a network that cannot be cut; a budget that cannot be reached; an optimizer
            of other weights.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any = None,
        *,
        steps: int,
        batches: Sequence[Batch],
        loss: Loss | float | None = None,
        objective: Objective | Loss | None = None,
        dense: nn.Module | None = None,
        saved: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        read = PriceSettings.parse(settings)
        check_trains(optimizer, model)
        self._priced, self._optimizer = read.priced_steps(steps), optimizer
        self.priced = PricedNetwork.of(model, Given.of(batches, loss, objective), read, dense)
        self.keep: Tensor | None = None
        self._number = 0
        self._surplus: float | None = None
        self._step: PricedStep | None = None
        state = None if saved is None else SavedPrice.from_plain(saved)
        self._economy = self._started(1.0 if saved is not None else self.priced.first_loss(), state is None)
        peak = read.economy.gate_logit_range / self._priced
        self._trainer_of_gates = torch.optim.AdamW(self._economy.gates.parameters(), lr=peak, weight_decay=0.0)
        self._distilled: Distilled | None = None
        self._held = Gates(())
        if state is None:
            self._enter()
        else:
            self._go_on(state)

    @property
    def settled(self) -> bool:
        """Whether units have settled: no price is paid any more."""
        return self.keep is not None

    @property
    def pricing(self) -> Pricing:
        """Where the price comes from, in its present state."""
        return self._economy.pricing

    def penalty(self) -> Tensor:
        """What is to be added to the loss of one batch, a mean over its rows: [], differentiable.

        Where gradients of several batches are added up, it belongs to each, weighed as its loss is.
        """
        zero = torch.zeros((), device=self.priced.device)
        distilled = zero if self._distilled is None else self._distilled.taken()
        return distilled if self._step is None else self._step.penalty(self._economy.pricing) + distilled

    def step(self, scale: float = 1.0) -> None:
        """Let gates and price follow the batches of a step; after the last priced one, units settle.

        Args:
            scale: by which the loss was multiplied before its backward pass, in mixed precision.

        Raises:
            InputError: no batch of this step has been through the network and back.
        """
        if self._step is None:
            return
        self._move(self._step, scale)
        self._leave()
        self._number += 1
        if self._number < self._priced:
            self._enter()
        else:
            self.settle()

    @torch.no_grad()
    def settle(self) -> None:
        """Let units settle now: as many stay as the budget pays for, and the others are cut out of the network."""
        if self.settled:
            return
        self._leave()
        self._clear(1.0)
        model, units = self.priced.model, self.priced.units
        gone = self._economy.gates.fixed == 0
        keep, gates = self._economy.settle(self.priced.settings.budget)
        self.keep = keep.cpu()
        if not self.priced.settings.cut:
            self._hold(keep)
        else:
            moments = Moments.kept(self._optimizer, model, units, keep, gates)
            fold(model, units, gates)
            if bool((~gone & ~keep).any()):  # else those who left have been made good
                self.priced.repair(keep)
            self._cut()
            moments.give(self._optimizer, model)
        self._watch()

    def close(self) -> None:
        """Take everything off the network but, with `cut=False`, the gates that units settled with."""
        self._leave()

    def release(self) -> None:
        """Take these off as well."""
        self._leave()
        self._held.remove()

    def figures(self) -> dict[str, float]:
        """Price, share of the dense network's MACs, units left, and the surplus of those that a market funded last."""
        economy = self._economy
        left = (economy.gates.fixed != 0).cpu() if self.keep is None else self.keep
        used = float(economy.share.cpu()[left].sum()) if self._step is None else float(self._step.cost)
        at = 1.0 if self._step is None else self._step.at
        found = {"price": float(economy.pricing.paid(at)), "share_of_macs": used, "units_left": float(left.sum())}
        return found if self._surplus is None else {**found, "surplus": self._surplus}

    def saved(self) -> dict[str, Any]:
        """All that a training needs, beside the weights and the optimizer's state, to go on: plain data for JSON."""
        economy = self._economy
        tensors = SavedPrice.tensors_of(economy, self._trainer_of_gates)
        return SavedPrice(
            self._number, self.priced.settings.told, self._priced, self.priced.fingerprint, economy.pricing.state(),
            self._surplus, self.keep, tensors,
        ).as_plain()  # fmt: skip

    def _started(self, loss: float, new: bool) -> Economy:
        """Gates and their price before the first step."""
        priced, economy = self.priced, self.priced.settings.economy
        pricing, value = priced.settings.pricing(priced.plan, loss), None
        if economy.init_gates_by_value and new:
            value = priced.values(torch.ones(len(priced.units), device=priced.device), self._generator())
        share = torch.from_numpy(priced.share).to(priced.device)
        found = Economy.start(priced.units, share, pricing, economy.kind, value)
        found.gates.to(priced.device)
        found.check_reach(priced.settings.budget, economy.taxed)
        return found

    def _go_on(self, saved: SavedPrice) -> None:
        """From where training was interrupted."""
        saved.check(self.priced.settings.told, self._priced)
        if (self.priced.settings.distils or saved.keep is None) and saved.dense != self.priced.fingerprint:
            raise InputError(
                "the network that training began with is not the one of the saved price; where its head is new, "
                "seed before the network is made: transformers.set_seed(0)"
            )
        saved.give(self._economy, self._trainer_of_gates)
        self._number, self._surplus, self.keep = saved.number, saved.surplus, saved.keep
        if self.keep is None:
            self._enter()
            return
        if self.priced.settings.cut:
            self._cut()
        else:
            self._hold(self.keep.to(self.priced.device))
        self._watch()

    @torch.enable_grad()
    def _enter(self) -> None:
        """Clear a market where that is due, and draw the gates of a step."""
        at = min(self._number / self._priced, 1.0)
        self._clear(at)
        priced = self.priced
        self._step = PricedStep(priced.model, priced.units, self._economy, at, self._generator())
        self._watch()

    def _watch(self) -> None:
        """Compare what the network says with what the dense one does, where that is wanted."""
        priced, settings = self.priced, self.priced.settings
        if settings.distils:
            self._distilled = Distilled(priced.model, priced.dense, settings.distil, settings.distil_states)

    def _leave(self) -> None:
        """Take off what a step put on the network."""
        if self._distilled is not None:
            self._distilled.close()
        self._distilled = None
        if self._step is not None:
            self._step.gates.remove()
        self._step = None

    def _move(self, step: PricedStep, scale: float) -> None:
        """Gates along their gradients, and the price by what the step cost; nothing where gradients overflowed."""
        if not step.backward(self._economy.pricing, scale, mean_of_processes):
            return
        peak = self.priced.settings.economy.gate_logit_range / self._priced
        for group in self._trainer_of_gates.param_groups:
            group["lr"] = peak * gates_factor(self._number, self._priced)
        self._trainer_of_gates.step()
        self._trainer_of_gates.zero_grad()
        self._economy.pricing = self._economy.pricing.after(step.cost, step.at, step.slope)

    def _clear(self, at: float) -> None:
        """The rounds of the market that are due: values of those that are still there, a clearing; losers leave."""
        economy = self._economy
        while isinstance(economy.pricing, Cleared) and economy.pricing.due(at):
            open_ = (economy.gates.fixed != 0).to(economy.gates.logits)
            self._surplus = economy.clear(self.priced.values(open_, self._generator()))
            self.priced.repair(economy.gates.fixed != 0)

    @torch.no_grad()
    def cut_from(self, model: nn.Module) -> None:
        """Cut out of a network what lost in a training with `cut=False`: an adapter that was merged, weights unpacked.

        Args:
            model: a network with the weights that were trained, in their dense shapes, or something that holds one.

        Raises:
            InputError: units have not settled, or have been cut out already; weights that cannot be cut.
        """
        if self.keep is None or self.priced.settings.cut:
            state = "not settled yet" if self.keep is None else "been cut out already"
            raise InputError(f"units have {state}: cut_from is for after a training with cut=False")
        network = network_of(model)
        check_cut(network)
        self.release()
        keep = self.keep.to(self.priced.device)
        fold(network, self.priced.units, self._economy.kept_gates(keep).to(next(network.parameters()).device))
        cut_in_place(network, self.priced.units, self.keep)
        save_as_export(network)

    def _hold(self, keep: Tensor) -> None:
        """Hold the gates at which units settled, 0 for those that do not stay."""
        gates = torch.where(keep, self._economy.kept_gates(keep), 0.0)
        self._held = attach(self.priced.model, self.priced.units, gates)

    def _cut(self) -> None:
        """Cut out of the network those that do not stay, unless its weights have been cut already."""
        assert self.keep is not None
        if not self.priced.smaller:
            replaced = cut_in_place(self.priced.model, self.priced.units, self.keep)
            replace_parameters(self._optimizer, replaced)
        save_as_export(self.priced.model)

    def _generator(self) -> torch.Generator:
        """Of the step: the same in every process, and whenever training is interrupted."""
        return torch.Generator().manual_seed((self.priced.settings.seed * 1_000_003 + self._number) % 2**63)
