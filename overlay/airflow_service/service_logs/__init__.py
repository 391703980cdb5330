"""Logs of services: found on this host, shipped to S3, and removed once they are there."""
