"""Families of models under several taxes, on one task or more: their Pareto fronts, beside baselines and claims."""
