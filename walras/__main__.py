"""`python -m walras`: the command line."""

from importlib import import_module

if __name__ == "__main__":
    import_module("walras.experiments.cli.main").main()
