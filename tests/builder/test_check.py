"""Tests of builder.check: headers' tests are there, and the ledger is current."""

from __future__ import annotations

import pytest
from tiny_release import Checkout

from builder.errors import CheckFailed, InvalidSeries


def test_what_was_checked_is_said(checkout: Checkout) -> None:
    """A check that passes lists what it looked at."""
    printed = checkout.succeed("check").out
    assert "4 patches apply with fuzz 0 and export to the same bytes" in printed
    assert "2 overlay files shadow nothing" in printed
    assert f"the tree is {checkout.tree}" in printed


@pytest.mark.parametrize(
    "test",
    [
        "tests/gone.py::test_x",
        "tests/test_tiny.py::test_gone",
        "tests/test_tiny.py",
        "tests/test_tiny.py::Test::test_x",
    ],
)
def test_a_named_test_must_be_there(checkout: Checkout, test: str) -> None:
    """A `Test:` that names no test is told with its patch."""
    checkout.edit("patches/1.0/greet-politely.patch", "tests/test_tiny.py::test_greeting", test)
    ran = checkout.run("check")
    assert ran.code == InvalidSeries.exit_code
    assert f"greet-politely.patch: {test}" in ran.err


def test_a_test_of_a_class_or_with_parameters(checkout: Checkout) -> None:
    """Node ids as pytest prints them are understood."""
    tests = checkout.root / "tests" / "test_tiny.py"
    tests.write_text(tests.read_text() + "class TestX:\n    def test_y(self): ...\n")
    names = "tests/test_tiny.py::TestX::test_y, tests/test_tiny.py::test_greeting[one-2]"
    checkout.edit("patches/1.0/greet-politely.patch", "tests/test_tiny.py::test_greeting", names)
    checkout.succeed("refresh")
    checkout.succeed("check")


def test_a_ledger_that_is_not_current(checkout: Checkout) -> None:
    """docs/patches.md is generated: another text ends with 26, and refresh writes it."""
    ledger = checkout.root / "docs" / "patches.md"
    ledger.write_text(ledger.read_text() + "edited\n")
    ran = checkout.run("check")
    assert ran.code == CheckFailed.exit_code == 26
    assert "docs/patches.md is not current" in ran.err
    assert "next: ./build.py refresh" in ran.err
    assert "written: docs/patches.md" in checkout.succeed("refresh").out
    checkout.succeed("check")
