"""How mastery has changed, and how students and cohorts compare."""
