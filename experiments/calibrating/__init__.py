"""A setting sought for a target: the smallest budget at which quality is at least what is asked for."""
