"""A running distribution on this machine: `make demo`."""
