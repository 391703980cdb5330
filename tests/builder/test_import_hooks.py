"""Tests of builder.hooks: both sides of every import across the border exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_release import Checkout

from builder.errors import MissingHook
from builder.hooks import check_hooks


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


UPSTREAM = """
import os as system
from json import loads as read
try:
    from fast import speed
except ImportError:
    speed = None
if speed:
    LATE: int = 1
for place in ():
    pass
with open("/dev/null") as handle:
    pass
(one, [two]) = 1, [2]
class Klass:
    attribute = 1
def function(parameter):
    local = 1
    global shared
    shared = 2
async def slow(): ...
"""


@pytest.mark.parametrize(
    "name",
    [
        "system",
        "read",
        "speed",
        "LATE",
        "place",
        "handle",
        "one",
        "two",
        "Klass",
        "function",
        "slow",
        "shared",
        "sub",
    ],
)
def test_a_name_that_is_bound_is_found(tmp_path: Path, name: str) -> None:
    """Each way in which a module binds a name counts, and so does a module below it."""
    folder = tree(tmp_path, up__mod__a=UPSTREAM, ours__h=f"from up.mod.a import {name}\n")
    if name == "sub":
        tree(tmp_path, up__mod__sub="", ours__h="from up.mod import sub\nimport up.mod.sub\n")
    assert check_hooks(folder, "ours", ("up",)) >= 1


@pytest.mark.parametrize("name", ["local", "parameter", "attribute", "gone", "loads", "json"])
def test_a_name_that_is_not_the_modules_is_missing(tmp_path: Path, name: str) -> None:
    """A local variable, a parameter or an attribute is not what an import gets."""
    folder = tree(tmp_path, up__a=UPSTREAM, ours__h=f"\nfrom up.a import {name}\n")
    with pytest.raises(MissingHook, match="1 hooks") as caught:
        check_hooks(folder, "ours", ("up",))
    assert caught.value.detail == f"ours/h.py:2: up.a.{name}"


@pytest.mark.parametrize("statement", ["import up.gone", "from up.gone import x", "from up import gone"])
def test_a_module_that_is_gone(tmp_path: Path, statement: str) -> None:
    """Each form of import is resolved."""
    folder = tree(tmp_path, up____init__="", ours__h=f"def late():\n    {statement}\n")
    (tmp_path / "up" / "__init__.py").write_text("")
    with pytest.raises(MissingHook, match="1 hooks"):
        check_hooks(folder, "ours", ("up",))


@pytest.mark.parametrize("text", ["from x import *", "def __getattr__(name): ..."])
def test_what_only_running_would_tell_is_let_pass(tmp_path: Path, text: str) -> None:
    """A module that makes its names as it runs is taken at its word."""
    folder = tree(tmp_path, up__a=text, ours__h="from up.a import anything\n")
    assert check_hooks(folder, "ours", ("up",)) == 1


def test_both_directions_are_held_together(tmp_path: Path) -> None:
    """A patch that calls what the overlay no longer has is found, too."""
    folder = tree(tmp_path, up__a="from ours.h import gone\n", ours__h="x = 1\n")
    with pytest.raises(MissingHook) as caught:
        check_hooks(folder, "ours", ("up",))
    assert caught.value.detail == "up/a.py:1: ours.h.gone"


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    """A patch that breaks the syntax is told with file and line."""
    folder = tree(tmp_path, up__a="import ours.h\nprint 'two'\n", ours__h="")
    with pytest.raises(MissingHook, match=r"a\.py is no Python.*line 2"):
        check_hooks(folder, "ours", ("up",))


def test_a_vanished_target_ends_the_build(checkout: Checkout) -> None:
    """A release without what the overlay reaches for ends with 18, names file, line and name, and makes nothing."""
    checkout.edit(
        "overlay/tiny_service/hooks.py", "from tiny_app.core import home", "from tiny_app.core import house"
    )
    ran = checkout.run("dist")
    assert ran.code == MissingHook.exit_code == 18
    assert "tiny_service/hooks.py:3: tiny_app.core.house" in ran.err
    assert "next: find where the name went" in ran.err
    assert checkout.snapshot("dist") == {}


def test_a_dropped_overlay_file_ends_the_build(checkout: Checkout) -> None:
    """A patch's side of a hook counts as much."""
    (checkout.root / "overlay" / "tiny_service" / "hooks.py").unlink()
    ran = checkout.run("patch")
    assert ran.code == MissingHook.exit_code
    assert "tiny_app/core.py:7: tiny_service.hooks.greeting" in ran.err
