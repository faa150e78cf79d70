"""Token budgets on real answers."""
