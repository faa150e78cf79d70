"""A small GPT-2 from scratch on WikiText-2, with a byte-level tokenizer of its own.

    python -m walras.experiments.benchmarks.small_gpt2 --data FOLDER --out runs/small-gpt2
    walras run --model runs/small-gpt2/model --task wikitext2 --data FOLDER --length 256

The folder gets `fresh` (tokenizer, random weights), `training` (a run of `walras train` without a price) and, in the
end, `model`. Started again, the command goes on from the last checkpoint, or writes what was left to write.
"""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.executors.memory import keep_freed_memory
from walras.experiments.store.run_folder import read_result
from walras.experiments.tasks.data.wikitext_files import read_wikitext
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import train
from walras.files.folders import whole_folder
from walras.models.export.reloading import load_model

END, UNKNOWN = "<|endoftext|>", "<unk>"  # the latter stands in WikiText for every rare word
OPTIONS: dict[str, Any] = {
    "batch_size": 16, "rate": 1e-3, "warmup": 0.05, "decay": 0.1, "held_out": 0.02, "patience": 3, "save_every": 100,
    "pricing": "none", "budget": 1.0,
}  # fmt: skip


def main(
    data: Annotated[str, typer.Option(help="Folder with wikitext-2/ in it.")],
    out: Annotated[Path, typer.Option(help="Folder of everything.")] = Path("runs/small-gpt2"),
    epochs: Annotated[int, typer.Option(help="Passes over the training text.", min=1)] = 6,
    layers: Annotated[int, typer.Option(min=1)] = 6,
    heads: Annotated[int, typer.Option(min=1)] = 8,
    width: Annotated[int, typer.Option(help="Features of the hidden state.", min=8)] = 320,
    vocabulary: Annotated[int, typer.Option(help="Tokens.", min=300)] = 8192,
    length: Annotated[int, typer.Option(help="Tokens of a block.", min=8)] = 256,
    tokens: Annotated[int, typer.Option(help="Of the test split, to report on.", min=2)] = 16_384,
    limit: Annotated[int | None, typer.Option(help="Blocks of training text at most.", min=4)] = None,
    seed: Annotated[int, typer.Option(help="Of the weights, and the order of the text.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, or auto: a GPU where there is one.")] = "auto",
) -> None:
    """Train, or go on with it."""
    keep_freed_memory()
    fresh, run, done = out / "fresh", out / "training", out / "model"
    try:
        if done.exists():
            raise InputError(f"{str(done)!r} is there already; choose another --out")
        if not fresh.exists():
            begin(read_wikitext("wikitext2", data, "train"), fresh, layers, heads, width, vocabulary, length, seed)
        config = TrainConfig.parse({
            "model": str(fresh), "task": f"wikitext2:tokens={tokens}", "data": data, "epochs": epochs, "length": length,
            "limit": limit, "seed": seed, "device": device, **OPTIONS,
        })  # fmt: skip
        settings = run / "config.yaml"
        same = settings.is_file() and settings.read_text(encoding="utf-8") == config.as_yaml()
        if not (same and (run / "result.json").is_file()):  # else it was killed when training had been finished
            with progress_bar() as progress:
                train(config, run, resume=settings.exists(), progress=progress)
        found = read_result(run)
        publish(fresh, run / "model", done)
    except WalrasError as error:
        fail(error)
    size, value = found["parameters"], found["metric"]["value"]
    output().print(f"{size:,} parameters, perplexity {value:.2f} on {tokens:,} tokens: {done}", soft_wrap=True)


def begin(
    text: str, folder: Path, layers: int, heads: int, width: int, vocabulary: int, length: int, seed: int
) -> None:
    """Write a tokenizer that is trained on the text, and a GPT-2 of random weights.

    Raises:
        InputError: a width that heads cannot share.
    """
    if width % heads:
        raise InputError(f"width is {width}; it must be a multiple of the number of heads, {heads}")
    tokenizer = trained_tokenizer(text, vocabulary)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=length, n_embd=width, n_layer=layers, n_head=heads,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(), whole_folder(folder) as draft:
        torch.manual_seed(seed)
        GPT2LMHeadModel(config).save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def publish(fresh: Path, trained: Path, folder: Path) -> None:
    """Write the stock model of the fresh one with the weights of an export, in which every unit has stayed."""
    model: Any = GPT2LMHeadModel.from_pretrained(fresh)
    model.load_state_dict(load_model(trained).state_dict())
    with whole_folder(folder) as draft:
        model.save_pretrained(draft)
        AutoTokenizer.from_pretrained(fresh).save_pretrained(draft)


def trained_tokenizer(text: str, vocabulary: int) -> Any:
    """Byte-level BPE (Radford et al. 2019) with tokens of its own for the end of a text and for rare words."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [END, AddedToken(UNKNOWN, lstrip=True)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(text.splitlines(keepends=True), trainer)
    wrapped: Any = PreTrainedTokenizerFast
    return wrapped(tokenizer_object=bpe, bos_token=END, eos_token=END, unk_token=UNKNOWN)


if __name__ == "__main__":
    typer.run(main)
