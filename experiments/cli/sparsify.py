"""`walras sparsify`: a decoder whose tokens buy what they are computed with, as a folder that transformers loads."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.sparsifying.config import SparsifyConfig


@with_settings(SparsifyConfig)
def sparsify(
    given: dict[str, Any],
    out: Annotated[Path, typer.Option(help="Folder to write; whole or not at all.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    code: Code = None,
    trace: Annotated[bool, typer.Option("--trace", help="Write what every token of a few sequences buys.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export that --out holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Find prices at which every token buys the multiplications that it is computed with, and write the network.

    walras sparsify --model FOLDER --data book.txt --length 256 --budget 0.6 --out fast

    walras sparsify --model FOLDER --task wikitext2-raw --data FOLDER --budget 0.7 --prefill market --trace --out fast
    """
    settings = SparsifyConfig.parse(given) if config is None else SparsifyConfig.read(config, given, code or ())

    from walras.experiments.sparsifying.card import print_sparsified
    from walras.experiments.sparsifying.from_python import run
    from walras.experiments.sparsifying.sparsify import check_trace
    from walras.models.export.checkpoints import check_target

    check_target(out, overwrite)
    check_trace(settings, trace)
    try:
        with progress_bar(not as_json) as progress:
            figures = run(settings, progress).save(out, overwrite, trace)
    except KeyboardInterrupt:
        interrupted(f"{out} is as it was")
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    console = output()
    print_sparsified(console, figures)
    console.print(
        f'Reload: walras.load_model("{out}"), or from_pretrained("{out}", trust_remote_code=True)', soft_wrap=True
    )
    if trace:
        console.print(f"Look at it: walras trace {out} --pictures FOLDER", soft_wrap=True)
