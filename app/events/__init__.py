"""Learning events: what they look like, what they are evidence of, and the use case that records them."""
