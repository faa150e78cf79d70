"""The built-in sentence pairs and the grammar that writes them."""
