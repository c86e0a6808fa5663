"""Mastery: the formula, the facts it is computed from, and the use cases."""
