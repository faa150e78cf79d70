"""A small mixture of experts from scratch on WikiText-2, trained under a routing rule.

    python -P -m walras.experiments.benchmarks.experts.small_mixture --data FOLDER --out runs/small-mixture --steps 3000
    walras run --model runs/small-mixture/model --task wikitext2 --data FOLDER --recipe reap --budget bytes=0.6

A Mixtral of 19.9 M parameters: 6 layers of 8 experts, 2 for each token, and a byte-level tokenizer of its own. The
folder gets `fresh` (tokenizer, random weights), `checkpoint`, `training.jsonl` (a row a step: loss, loads, prices) and,
in the end, `model`. Started again, the command goes on from the last checkpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import typer
from torch import Tensor
from transformers import AutoTokenizer, MixtralConfig, MixtralForCausalLM

from walras.errors import InputError
from walras.experiments.benchmarks.experts.mixture_training import Plan, train_mixture
from walras.experiments.benchmarks.small_gpt2 import trained_tokenizer
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.memory import keep_freed_memory
from walras.experiments.tasks.data.token_stream import stream
from walras.experiments.tasks.data.wikitext_files import read_wikitext
from walras.files.folders import whole_folder
from walras.files.plain_data import read_json, write_json
from walras.files.writing import write_whole


@final
@dataclass(frozen=True)
class Size:
    """Of the network."""

    layers: int = 6
    heads: int = 8
    width: int = 256
    experts: int = 8
    chosen: int = 2  # for each token
    neurons: int = 384  # of an expert
    vocabulary: int = 8192
    length: int = 256  # tokens of a block

    def __post_init__(self) -> None:
        if not 1 <= self.chosen <= self.experts:
            raise InputError(
                f"chosen is {self.chosen} of {self.experts} experts for each token; valid: 1 to {self.experts}"
            )
        if self.width % self.heads:
            raise InputError(f"width is {self.width}; it must be a multiple of the number of heads, {self.heads}")


def main(
    data: Annotated[str, typer.Option(help="Folder with wikitext-2/ in it.")],
    out: Annotated[Path, typer.Option(help="Folder of everything.")] = Path("runs/small-mixture"),
    rule: Annotated[str, typer.Option(help="Routing rule of the training, by name.")] = "top-experts",
    auxiliary: Annotated[float, typer.Option(help="Weight of the auxiliary loss for balance.", min=0)] = 0.01,
    steps: Annotated[int, typer.Option(help="Of `batch` blocks of 256 tokens.", min=1)] = 3000,
    batch: Annotated[int, typer.Option(help="Blocks of a step.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of the weights, and the order of the text.", min=0)] = 0,
    layers: Annotated[int, typer.Option(min=1)] = 6,
    experts: Annotated[int, typer.Option(help="Of a layer.", min=1)] = 8,
    chosen: Annotated[int, typer.Option(help="Experts for each token.", min=1)] = 2,
    width: Annotated[int, typer.Option(help="Features of the hidden state.", min=8)] = 256,
    neurons: Annotated[int, typer.Option(help="Of an expert.", min=1)] = 384,
) -> None:
    """Train, or go on with it."""
    keep_freed_memory()
    with ended_in_words():
        size = Size(layers=layers, width=width, experts=experts, chosen=chosen, neurons=neurons)
        if (out / "model").exists():
            raise InputError(f"{str(out / 'model')!r} is there already; choose another --out")
        with progress_bar() as progress:
            start = begin(data, out, size, seed)
            trained = train_mixture(start, Plan(out, rule, auxiliary, steps, batch, seed), progress)
        with whole_folder(out / "model") as draft:
            trained.save_pretrained(draft)
            start.tokenizer.save_pretrained(draft)
    count = sum(p.numel() for p in trained.parameters())
    output().print(
        f"{count:,} parameters after {steps * batch * size.length:,} tokens: {out / 'model'}", soft_wrap=True
    )


@final
@dataclass(frozen=True, eq=False)
class Start:
    """The folder of a network of random weights, its tokenizer, and the training text as blocks [blocks, length]."""

    fresh: Path
    tokenizer: Any
    blocks: Tensor

    def network(self) -> Any:
        """The network, anew."""
        causal: Any = MixtralForCausalLM
        return causal.from_pretrained(self.fresh, experts_implementation="eager")


def begin(data: str, folder: Path, size: Size, seed: int) -> Start:
    """The fresh network of a folder, which is made where there is none.

    Raises:
        InputError: a folder with another network.
    """
    fresh, told = folder / "fresh", {**vars(size), "seed": seed}
    text = read_wikitext("wikitext2", data, "train")
    if not fresh.exists():
        tokenizer = trained_tokenizer(text, size.vocabulary)
        with torch.random.fork_rng(), whole_folder(fresh) as draft:
            torch.manual_seed(seed)
            MixtralForCausalLM(config_of(size, tokenizer)).save_pretrained(draft)
            tokenizer.save_pretrained(draft)
            write_whole(draft / "size.json", write_json(told))
    known: Mapping[str, Any] = read_json(fresh / "size.json", "sizes")
    if dict(known) != told:
        raise InputError(
            f"{str(folder)!r} holds a mixture of {dict(known)}; {told} was asked for: choose another folder"
        )
    tokenizer = AutoTokenizer.from_pretrained(fresh)
    ids = stream(tokenizer, text).ids
    return Start(fresh, tokenizer, ids[: len(ids) // size.length * size.length].view(-1, size.length))


def config_of(size: Size, tokenizer: Any) -> MixtralConfig:
    """Of transformers' own class, which needs no code of ours."""
    return MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=size.width, intermediate_size=size.neurons,
        num_hidden_layers=size.layers, num_attention_heads=size.heads, num_key_value_heads=size.heads,
        num_local_experts=size.experts, num_experts_per_tok=size.chosen, max_position_embeddings=size.length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
        sliding_window=None, tie_word_embeddings=False,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
