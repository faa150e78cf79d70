"""Examples of the reference page of walras.models."""
