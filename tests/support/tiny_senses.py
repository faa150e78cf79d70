"""Tiny networks of pictures and of speech, written to folders."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Dinov2Config,
    Dinov2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

PATCH = 4
STATES = 50  # of a second of sound


def shaken(model: Any) -> Any:
    """The model with noise on all of its weights, so that no bias is zero and no two units are alike."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    return model.eval()


def write_vision(folder: Path) -> Path:
    """A DINOv2 of two layers, without an image processor."""
    sizes: Any = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2}
    config = Dinov2Config(image_size=32, patch_size=PATCH, layerscale_value=0.5, **sizes)
    shaken(Dinov2Model(config)).save_pretrained(folder)
    return folder


def write_speech(folder: Path) -> Path:
    """A Whisper of two layers that hears a second, with its processor."""
    letters = {c: i for i, c in enumerate(["<|endoftext|>", "<|startoftranscript|>", *"abcdefghijklmnopqrstuvwxyz"])}
    hears: Any = WhisperFeatureExtractor
    both: Any = WhisperProcessor
    words = WhisperTokenizer(vocab=letters, merges=[])
    both(hears(feature_size=5, chunk_length=1), words).save_pretrained(folder)
    config = WhisperConfig(
        vocab_size=len(letters), d_model=24, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=40,
        decoder_layers=1, decoder_attention_heads=3, decoder_ffn_dim=16, num_mel_bins=5, max_source_positions=STATES,
        max_target_positions=8, decoder_start_token_id=1, begin_suppress_tokens=None, pad_token_id=0, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    shaken(WhisperForConditionalGeneration(config)).save_pretrained(folder)
    return folder
