"""The process of the command line: its signals, its errors, and how it ends."""
