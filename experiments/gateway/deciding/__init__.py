"""Which request gets how many tokens: terms, the desk that decides, its journal, the queue, and who shares a budget."""
