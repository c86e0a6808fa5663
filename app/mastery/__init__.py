"""Mastery: the formula, the facts it is applied to, and the use cases that answer with it."""
