"""A made-up application."""

version = "1.1"
