"""What can be traded in a transformer, and gates on it."""
