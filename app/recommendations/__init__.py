"""Recommendations: what a student should do next, and a path to a level of mastery."""
