"""A market as a Mesa model that is made from keywords alone, on a network or on values that are given."""
