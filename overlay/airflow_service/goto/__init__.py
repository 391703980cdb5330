"""The way from a task to the command that it runs on an outside platform: buttons, and the route that they lead to."""
