"""Commands of the command line, a file each; whatever is heavy is imported inside them."""
