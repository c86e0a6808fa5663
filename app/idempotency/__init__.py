"""Requests that may be repeated: their keys, and the answers that are kept for them."""
