"""What the patches call."""

from tiny_app.core import home


def greeting(name: str) -> str:
    return f"welcome to {home()}, {name}"
