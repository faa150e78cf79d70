"""Tokens a second of greedy generation by a network whose tokens buy, beside transformers as it is.

    walras sparsify --model FOLDER --task wikitext2-raw --data FOLDER --length 256 --budget 0.5 --out runs/half
    python -m walras.experiments.benchmarks.token_markets.decoding --model FOLDER --sparse runs/half --out runs/decoding

Forms are timed in turn, round after round, so that what else the machine does meets all of them alike; `again` is
transformers a second time, whose ratio says how far two equal forms are apart. `everything` is the first network's own
kernel with all prices 0. Of the linear maps alone, and of the head alone, a row has the time for one token, on inputs
of a real one: attention, norms and Python take what is left of a token's time. A prompt is read by one forward pass.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.store.place import check_place
from walras.files.writing import write_whole
from walras.models.export.modeling_sparsified import Buyer, FeatureBuyer
from walras.models.export.reloading import load_model
from walras.models.export.token_settings import DENSE, MARKET
from walras.models.loading import load

PROMPT = "The market opened early that morning, and everybody who had something to sell"
STOCK, AGAIN, EVERYTHING = "transformers", "again", "everything"
_PROMPT = 256  # tokens of the prompt that is read
_NEVER = 2**30  # no token: all forms generate as many, and look for the end as users' runs do
Forms = Mapping[str, Any]


@final
@dataclass(frozen=True)
class Setting:
    """How long, how often, and on how many sequences forms are timed."""

    tokens: int
    rounds: int
    batch: int


def main(
    model: Annotated[str, typer.Option(help="Folder of the dense decoder.")],
    sparse: Annotated[list[Path], typer.Option(help="Folders of walras sparsify; several.")],
    out: Annotated[Path, typer.Option(help="Folder of token_markets_decoding.csv.")] = Path("runs/decoding"),
    tokens: Annotated[int, typer.Option(help="New tokens.", min=2)] = 128,
    rounds: Annotated[int, typer.Option(help="Times each form is timed.", min=1)] = 5,
    threads: Annotated[list[int] | None, typer.Option(help="Threads; several. [default: 1 2]")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Sequences at once; several. [default: 1]")] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32, bfloat16; several. [default: both]")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Time all forms, print the table, write it."""
    with ended_in_words(""):
        check_place(out)
        rows: list[dict[str, Any]] = []
        with progress_bar() as progress:
            kinds = [getattr(torch, name) for name in dtype or ("float32", "bfloat16")]
            step = progress.add_task("Timing", total=len(kinds) * len(threads or (1, 2)) * len(batch or (1,)))
            for kind in kinds:
                forms, tokenizer = _forms(model, sparse, kind, device)
                for count in threads or (1, 2):
                    with _threads(count):
                        for size in batch or (1,):
                            setting = Setting(tokens, rounds, size)
                            found = [
                                row for part in (generating, prefill, _maps) for row in part(forms, tokenizer, setting)
                            ]
                            told = {"dtype": str(kind).removeprefix("torch."), "threads": count, "batch": size}
                            rows += [{**told, **row} for row in found]
                            progress.update(step, advance=1, description=", ".join(f"{k} {v}" for k, v in told.items()))
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    write_whole(out / "token_markets_decoding.csv", table.to_csv(index=False, float_format="%.5g"))
    output().print(table.to_string(index=False))


def _forms(model: str, sparse: list[Path], dtype: torch.dtype, device: str) -> tuple[Forms, Any]:
    """Networks by name, and the tokenizer."""
    dense, tokenizer = load(model, "causal", device=device)
    forms: dict[str, Any] = {STOCK: dense.to(dtype), AGAIN: dense}
    for i, folder in enumerate(sparse):
        if i == 0:
            forms[EVERYTHING] = _all_kept(load_model(folder, dtype=dtype).to(device))
        forms[folder.name] = load_model(folder, dtype=dtype).to(device)
    return forms, tokenizer


def _all_kept(network: Any) -> Any:
    """The same network at prices of 0."""
    for market in network.modules():
        if isinstance(market, Buyer):
            market.get_buffer("price").fill_(0)
            market.forget()
    return network


def generating(forms: Forms, tokenizer: Any, setting: Setting) -> Iterator[dict[str, Any]]:
    """A row per form: median tokens a second, and the median ratio to transformers in the same round."""
    device = next(forms[STOCK].parameters()).device
    ids = tokenizer([PROMPT] * setting.batch, return_tensors="pt")["input_ids"].to(device)

    def run(network: Any) -> None:
        network.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True, max_new_tokens=setting.tokens,
            eos_token_id=_NEVER,
        )  # fmt: skip

    for form, (seconds, ratio) in _timed({name: _call(run, network) for name, network in forms.items()}, setting):
        rate = setting.tokens * setting.batch / seconds
        yield {"what": "generate", "form": form, "tokens_a_second": rate, "times_transformers": ratio}


@torch.no_grad()
def prefill(forms: Forms, tokenizer: Any, setting: Setting) -> Iterator[dict[str, Any]]:
    """The same of reading a prompt: as folders do by default, and with every token of the prompt a market."""
    if setting.batch > 1:
        return
    ids = torch.tensor([(tokenizer(PROMPT)["input_ids"] * _PROMPT)[:_PROMPT]]).to(
        next(forms[STOCK].parameters()).device
    )
    for way in (DENSE, MARKET):
        runs = {name: _reading(network, ids, way) for name, network in forms.items()}
        for form, (seconds, ratio) in _timed(runs, setting):
            if way == DENSE or form not in (STOCK, AGAIN):
                told = {"what": f"prompt, {way}", "form": form}
                yield {**told, "tokens_a_second": _PROMPT / seconds, "times_transformers": ratio}


def _reading(network: nn.Module, ids: Tensor, way: str) -> Callable[[], object]:
    markets = [module for module in network.modules() if isinstance(module, Buyer)]

    def read() -> None:
        before = [market.prefill for market in markets]
        for market in markets:
            market.prefill = way
        network(input_ids=ids, use_cache=True, logits_to_keep=1)
        for market, own in zip(markets, before, strict=True):
            market.prefill = own

    return read


@torch.no_grad()
def _maps(forms: Forms, tokenizer: Any, setting: Setting) -> Iterator[dict[str, Any]]:
    """The same of the linear maps alone, all of them once, for one token."""
    if setting.batch > 1:
        return
    runs: dict[str, Callable[[], object]] = {}
    for name, network in forms.items():
        if any(isinstance(module, Buyer) for module in network.modules()):
            calls = list(_calls(network, tokenizer))
            runs[name] = _all_of(calls)
            if name == EVERYTHING:
                runs = {STOCK: _all_of(list(_dense(calls))), **runs}
    head: nn.Linear = forms[STOCK].get_output_embeddings()
    state = torch.randn(1, 1, head.weight.shape[1], dtype=head.weight.dtype, device=head.weight.device)
    for _, (seconds, _) in _timed({"head": lambda: head(state)}, Setting(0, 20 * setting.rounds, 1)):
        yield {"what": "head", "form": STOCK, "tokens_a_second": 1 / seconds, "times_transformers": 1.0}
    for form, (seconds, ratio) in _timed(runs, Setting(0, 20 * setting.rounds, 1)):
        yield {"what": "maps", "form": form, "tokens_a_second": 1 / seconds, "times_transformers": ratio}


def _calls(network: Any, tokenizer: Any) -> Iterator[tuple[Buyer, tuple[Tensor, ...]]]:
    """Every market with its inputs in the last token of the prompt, decoded alone."""
    seen: list[tuple[Buyer, tuple[Tensor, ...]]] = []
    handles = [
        module.register_forward_pre_hook(lambda m, args: seen.append((m, tuple(a.clone() for a in args))))
        for module in network.modules()
        if isinstance(module, Buyer)
    ]
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"].to(network.device)
    cache = network(input_ids=ids[:, :-1], use_cache=True).past_key_values
    seen.clear()
    network(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True)
    for handle in handles:
        handle.remove()
    yield from seen


def _dense(calls: list[tuple[Buyer, tuple[Tensor, ...]]]) -> Iterator[tuple[Callable[..., Tensor], tuple[Tensor, ...]]]:
    """The same maps as transformers has them."""
    for market, args in calls:
        weight = market.weight.T.contiguous() if isinstance(market, FeatureBuyer) else market.weight
        yield _linear(weight, market.bias), args[:1]


def _linear(weight: Tensor, bias: Any) -> Callable[[Tensor], Tensor]:
    return lambda states: functional.linear(states, weight, bias)


def _all_of(calls: list[tuple[Any, tuple[Tensor, ...]]]) -> Callable[[], object]:
    return lambda: [market(*args) for market, args in calls]


def _call(run: Callable[[Any], object], network: nn.Module) -> Callable[[], object]:
    return lambda: run(network)


def _timed(runs: Mapping[str, Callable[[], object]], setting: Setting) -> Iterator[tuple[str, tuple[float, float]]]:
    """Median seconds of each, and the median over rounds of the first one's seconds divided by its own."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # kernels are compiled, weights are in the cache
    for _ in range(setting.rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started)
    first = seconds[next(iter(runs))]
    for name, own in seconds.items():
        yield name, (statistics.median(own), statistics.median(a / b for a, b in zip(first, own, strict=True)))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    typer.run(main)
