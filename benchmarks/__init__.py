"""What `make bench` runs: each number of the design that can be measured, beside a baseline measured in the same run."""
