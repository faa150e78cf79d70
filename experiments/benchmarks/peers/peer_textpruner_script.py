"""TextPruner (Yang et al. 2022, arXiv 2203.15996) on one BERT: run by `peer_textpruner` in a process of its own.

    PYTHONPATH=DIR python -P peer_textpruner_script.py MODEL BATCHES HEADS NEURONS ITERATIONS OUT

It knows nothing of Walras, since it needs transformers 4. BATCHES holds tokenised pairs with scores, rows 2i and 2i + 1
being pair i; the loss is the one of `Similarities`. OUT gets which heads and FFN neurons stay, and the hidden states of
the first batch from the model that TextPruner has cut.
"""

import sys
import tempfile
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class Scored(nn.Module):
    """A BERT whose output is the mean squared error of a pair's cosine."""

    base_model_prefix = "bert"  # where TextPruner looks for the encoder

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Mean over pairs of (cosine of the mean-pooled embeddings - label)^2: []."""
        hidden = self.bert(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden)
        embedding = nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        return ((embedding[::2] * embedding[1::2]).sum(-1) - labels).square().mean()


def main(model: str, batches: str, heads: str, neurons: str, iterations: str, out: str) -> None:
    """Prune to `heads` and `neurons` a layer on average; layers may differ."""
    from textpruner import GeneralConfig, TransformerPruner, TransformerPruningConfig
    from transformers import AutoModel

    loaded: list[dict[str, Tensor]] = torch.load(batches, weights_only=True)
    bert: Any = AutoModel.from_pretrained(model, attn_implementation="eager")
    with tempfile.TemporaryDirectory() as folder:
        pruner = TransformerPruner(
            Scored(bert),
            TransformerPruningConfig(
                target_ffn_size=int(neurons), target_num_of_heads=int(heads), pruning_method="iterative",
                head_even_masking=False, ffn_even_masking=False, n_iters=int(iterations),
            ),
            GeneralConfig(use_device="cpu", output_dir=folder),
        )  # fmt: skip
        pruner.prune(dataloader=loaded, save_model=False)
    bert.eval()
    first = {name: tensor for name, tensor in loaded[0].items() if name != "labels"}
    with torch.no_grad():
        hidden = bert(**first).last_hidden_state
    torch.save({"heads": pruner.head_mask > 0, "neurons": pruner.ffn_mask > 0, "hidden": hidden}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
