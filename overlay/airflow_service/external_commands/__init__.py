"""Keeps tasks and the commands that they run on outside platforms in agreement."""
