"""Benchmarks of `make bench`: the design's performance targets, each with a baseline measured in the same run."""
