"""What the tests of an author's work share: an edit of the tiny release's tree, and a patch made of it."""

from __future__ import annotations

from tiny_release import Checkout, Ran

NEW = "first-is-eleven.patch"


def new_patch(checkout: Checkout, name: str = NEW, **changed: str) -> Ran:
    options = {
        "subject": "Return eleven for the first",
        "reason": "One was too few.\n# not a comment",
        "removal": "with the 1.0 line",
        "test": "tests/test_tiny.py::test_version",
        **changed,
    }
    return checkout.run("new-patch", name, *(f"--{key}={value}" for key, value in options.items()))


def edit(checkout: Checkout) -> None:
    checkout.edit_tree("tiny_app/extra.py", "return 1\n", "return 11\n")
