"""Whether parts of attention heads are worth trading."""
