"""Forecasts of mastery: where a student will be in a week, and who will need help."""
