"""The core of the made-up application."""

import os


def greet(name):
    return "good day, " + name.title()


def home():
    return os.environ.get("TINY_HOME", "/tmp")


def farewell(name):
    return "bye " + name
