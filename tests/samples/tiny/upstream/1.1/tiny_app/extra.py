"""What the made-up application does beside its work."""

import sys

NAME = sys.argv[0]


def first():
    return 1


def second():
    return 2


def third():
    return 3


def fourth():
    return 4
