"""`mastery demo`: a simulated classroom."""
