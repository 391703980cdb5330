"""What is ours, for the made-up application."""
