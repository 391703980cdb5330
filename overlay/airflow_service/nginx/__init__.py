"""The configuration of the nginx in front of one or many clusters, rendered from values."""
