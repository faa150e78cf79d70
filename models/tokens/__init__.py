"""Markets inside a token: input features and neurons buy the multiplications of a layer's linear maps, per token."""
