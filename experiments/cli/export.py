"""`walras export`: a finished run as a folder that transformers loads."""

import json
from pathlib import Path
from typing import Annotated

import typer

from walras.experiments.cli.options import Code
from walras.experiments.cli.screen import interrupted, output, progress_bar


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="Folder to write; whole or not at all.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too, checked with onnxruntime.")] = False,
    gguf: Annotated[
        bool, typer.Option("--gguf", help="Write model.gguf too, for llama.cpp: of Llama-like decoders.")
    ] = False,
    stock: Annotated[
        bool, typer.Option("--stock", help="Write it as a model of transformers itself; layers must be alike.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export that --out holds.")] = False,
    code: Code = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the Python code in the folder of the dense model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Write the smaller model of a run: weights, configuration, tokenizer and model card, loaded in one call.

    walras export runs/half --out small

    walras export runs/half --out small --onnx --overwrite

    walras export runs/half --out small --stock

    walras export runs/half --out small --stock --gguf
    """
    from walras.experiments.export import export_run

    try:
        with progress_bar(not as_json) as progress:
            figures = export_run(
                run, out, onnx=onnx, gguf=gguf, stock=stock, overwrite=overwrite, progress=progress, code=code or (),
                trust_remote_code=trust_remote_code,
            )  # fmt: skip
    except KeyboardInterrupt:
        interrupted(f"{out} is as it was")
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    size = sum(figures["bytes"].values()) / 1e6
    told = f"{figures['parameters']:,} of {figures['dense_parameters']:,} parameters, {size:,.1f} MB"
    if onnx:
        told += f"; model.onnx differs from the model by {figures['onnx_difference']:.1g} at most"
    if gguf:
        told += f"; model.gguf is of architecture {figures['gguf']['architecture']}"
        if figures["gguf"]["pre_tokenizer"] == "default":
            told += ", and how it splits texts into words is llama.cpp's default: set tokenizer.ggml.pre where you know"
    console = output()
    console.print(f"{out}: {figures['class']}, {told}", soft_wrap=True)
    trusted = "" if stock else ", trust_remote_code=True"
    console.print(f'Reload: walras.load_model("{out}"), or from_pretrained("{out}"{trusted})', soft_wrap=True)
