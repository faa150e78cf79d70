"""Scarcity of attention: what a model does, and what its other layers do, when keys or mass are rationed."""
