"""Tests of builder.errors: one exit code for each kind, and the documents agree."""

from __future__ import annotations

import importlib
import re

from tiny_release import ROOT

from builder import errors
from builder.errors import BuildError, PatchConflict


def kinds() -> dict[str, int]:
    """The builder's own, and the demo's, which are beside them in the list."""
    for module in (ROOT / "demo").glob("*.py"):
        importlib.import_module(f"demo.{module.stem}")
    own = [kind for kind in BuildError.__subclasses__() if kind.__module__.split(".")[0] in ("builder", "demo")]
    return {kind.__name__: kind.exit_code for kind in own}


def test_each_kind_has_a_code_of_its_own() -> None:
    """No two kinds share a code, and none is one that means something else to a shell."""
    codes = list(kinds().values())
    assert len(codes) == len(set(codes))
    assert not {errors.UNEXPECTED, errors.USAGE, errors.INTERRUPTED, 0} & set(codes)
    assert all(2 < code < 126 for code in codes)


def test_the_documents_list_every_code() -> None:
    """docs/commands.md names exactly the codes that there are."""
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert sorted(listed) == sorted(
        [0, errors.UNEXPECTED, errors.USAGE, errors.INTERRUPTED, *kinds().values()]
    )


def test_the_check_uses_the_code_of_an_old_python() -> None:
    """The package cannot import the codes under the Pythons that it refuses: it repeats one."""
    text = (ROOT / "builder" / "__init__.py").read_text("utf-8")
    assert f"sys.exit({errors.UnsuitablePython.exit_code})" in text


def test_a_message_has_its_parts_in_order() -> None:
    """What happened, the evidence, the usual cause, the next command; what is not known is left out."""
    error = PatchConflict("it broke", cause="rain", next_step="wait", detail="a\n\nb\n")
    assert error.render() == "error: it broke\n    a\n    \n    b\nusual cause: rain\nnext: wait"
    assert PatchConflict("it broke").render() == "error: it broke"
