"""Tests of builder.cli: verbs, usage, and what an expected or unexpected failure looks like."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tiny_release import ROOT, Checkout

from builder import cli, index
from builder.errors import StorageFailure

VERBS = (
    *("fetch", "patch", "check", "wheel", "assets", "dist", "lock", "wheelhouse"),
    *("refresh", "new-patch", "rebase", "clean"),
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(checkout: Checkout, verb: str) -> None:
    """`VERB --help` ends with 0 and touches nothing; the documents know the verb."""
    ran = checkout.run(verb, "--help")
    assert ran.code == 0
    assert "--release VERSION" in ran.out
    assert not (checkout.root / ".build").exists()
    assert f"`{verb}`" in (ROOT / "docs" / "commands.md").read_text("utf-8")


@pytest.mark.parametrize(
    "argv",
    [(), ("fly",), ("dist", "--no-such"), ("rebase",), ("new-patch", "x.patch"), ("refresh", "--into")],
)
def test_wrong_usage_ends_with_2(checkout: Checkout, argv: tuple[str, ...]) -> None:
    """Usage is told on standard error, and nothing is made."""
    ran = checkout.run(*argv)
    assert ran.code == 2
    assert "usage: build.py" in ran.err
    assert not (checkout.root / ".build").exists()


def test_an_unexpected_failure_keeps_its_traceback(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is not dressed up as something else."""

    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(index, "fetch", bug)
    with pytest.raises(ZeroDivisionError):
        checkout.run("fetch")


def test_an_interrupt_ends_with_130(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C prints a line, and no traceback."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "fetch", interrupt)
    ran = checkout.run("fetch")
    assert ran.code == 130
    assert ran.err == "interrupted; nothing is half-written, and the next run goes on from here\n"


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EFBIG"])
def test_a_refusal_of_the_disk_is_told(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """Wherever it comes from, it ends with 22, the place, the cause and what to do."""
    import errno

    code = getattr(errno, number)

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code), "/some/place")

    monkeypatch.setattr(index, "fetch", refuse)
    ran = checkout.run("fetch")
    assert ran.code == StorageFailure.exit_code == 22
    assert f"cannot write /some/place: {os.strerror(code)}" in ran.err
    assert "nothing is half-written" in ran.err


def test_output_that_a_terminal_cannot_show(checkout: Checkout) -> None:
    """An ASCII terminal gets escapes instead of arrows; the build does not fail over them."""
    code = "import sys; from pathlib import Path; from builder.cli import main"
    command = f"{code}; sys.exit(main(['rebase', '1.0'], Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", command, str(checkout.root)],
        cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1.0 \\u2192 1.0" in done.stdout


def test_steps_are_told_on_standard_error(checkout: Checkout) -> None:
    """What a script reads from standard output is the result alone."""
    ran = checkout.succeed("patch")
    assert ran.out == f"{checkout.tree}\n"
    assert "✓ patch (4 patches)" in ran.err
    assert "\033" not in ran.err


def test_the_parser_is_built_apart() -> None:
    """Each verb has a command, and the parser can be read without running any."""
    arguments = cli.build_parser().parse_args(["dist", "--release", "1.0"])
    assert callable(arguments.command)
    assert arguments.release == "1.0"
