"""Tests of builder.overlay: it adds paths and shadows none, and its copy in the tree is only a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_release import Checkout, Member, fill_cache, pins, sdist

from builder.errors import InvalidOverlay, UnsavedWork


def test_the_overlay_is_laid(patched: Checkout) -> None:
    """Its files and the generated module are in the tree, and no record of git's."""
    laid = patched.tree / "tiny_service"
    assert (laid / "hooks.py").read_bytes() == (patched.root / "overlay/tiny_service/hooks.py").read_bytes()
    scope: dict[str, str] = {}
    exec((laid / "_version.py").read_text("utf-8"), scope)
    assert scope["VERSION"] == "1.0+svc.1"
    assert scope["UPSTREAM_VERSION"] == "1.0"
    assert len(scope["BUILD"]) == 16


def test_the_build_is_known_by_its_inputs(patched: Checkout) -> None:
    """BUILD changes with a patch or an overlay file, and goes back with it."""
    version = patched.tree / "tiny_service" / "_version.py"
    before = version.read_text()
    patched.edit("overlay/tiny_service/hooks.py", "welcome", "Welcome")
    patched.succeed("patch")
    assert version.read_text() != before
    patched.edit("overlay/tiny_service/hooks.py", "Welcome", "welcome")
    patched.succeed("patch")
    assert version.read_text() == before


@pytest.mark.parametrize("name", ["tiny_service", "Tiny_Service"])
def test_a_shadowed_path_is_refused(checkout: Checkout, name: str) -> None:
    """A file that upstream has too, by whatever case, ends with 17 before anything is laid."""
    checkout.edit("patches/1.0/upstream.toml", 'package = "tiny_service"', 'package = "tiny_app"')
    folder = checkout.root / "overlay" / "tiny_app"
    (checkout.root / "overlay" / "tiny_service").rename(folder)
    (folder / "core.py" if name.islower() else folder / "CORE.py").write_text("shadow = 1\n")
    ran = checkout.run("dist")
    assert ran.code == InvalidOverlay.exit_code == 17
    assert "the overlay shadows a path of upstream's" in ran.err
    assert "shadows tiny_app/core.py" in ran.err
    assert "usual cause: upstream's new release took the name" in ran.err
    assert (
        "hello" in (checkout.tree / "tiny_app" / "core.py").read_text()
        or "greeting" in (checkout.tree / "tiny_app" / "core.py").read_text()
    )
    assert checkout.snapshot("dist") == {}


def test_a_path_that_a_patch_adds_is_shadowed_too(checkout: Checkout) -> None:
    """What counts is the patched tree, not upstream's alone."""
    header = (checkout.patches / "greet-politely.patch").read_text("utf-8").partition("\n---\n")[0]
    added = "--- /dev/null\n+++ b/tiny_service/hooks.py\n@@ -0,0 +1 @@\n+x = 1\n"
    diff = f"diff --git a/tiny_service/hooks.py b/tiny_service/hooks.py\nnew file mode 100644\n{added}"
    (checkout.patches / "adds.patch").write_text(f"{header}\n---\n{diff}", "utf-8")
    checkout.edit("patches/1.0/series", "double-by-two.patch\n", "double-by-two.patch\nadds.patch\n")
    ran = checkout.run("patch")
    assert ran.code == InvalidOverlay.exit_code
    assert "tiny_service/hooks.py shadows tiny_service/hooks.py" in ran.err


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("stray.py", "stray.py: outside tiny_service/"),
        ("tiny_app/new.py", "tiny_app/new.py: outside tiny_service/"),
        ("tiny_service/_version.py", "tiny_service/_version.py: written by the build"),
    ],
)
def test_what_the_overlay_must_not_hold(checkout: Checkout, path: str, fault: str) -> None:
    """Files outside our package, and the one that the build writes, are refused."""
    place = checkout.root / "overlay" / path
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    ran = checkout.run("patch")
    assert ran.code == InvalidOverlay.exit_code
    assert fault in ran.err
    assert not checkout.tree.exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "hooks.py", "/nowhere"])
def test_a_link_in_the_overlay_is_refused(checkout: Checkout, target: str) -> None:
    """A link would let a build read files that no record names."""
    (checkout.root / "overlay" / "tiny_service" / "link.py").symlink_to(target)
    ran = checkout.run("patch")
    assert ran.code == InvalidOverlay.exit_code
    assert "tiny_service/link.py: a symbolic link" in ran.err


def test_a_missing_overlay_is_named(checkout: Checkout, tmp_path: Path) -> None:
    """An incomplete checkout is told as such."""
    (checkout.root / "overlay").rename(tmp_path / "aside")
    ran = checkout.run("patch")
    assert ran.code == InvalidOverlay.exit_code
    assert "is missing" in ran.err


@pytest.mark.parametrize("verb", ["patch", "dist", "clean"])
@pytest.mark.parametrize("how", ["edited", "new"])
def test_an_edited_copy_is_never_thrown_away(patched: Checkout, verb: str, how: str) -> None:
    """An edit of the laid copy is in the wrong place, and is kept: 23, with the way out."""
    copy = patched.tree / "tiny_service" / ("hooks.py" if how == "edited" else "new.py")
    copy.write_text("edited = True\n")
    patched.edit("overlay/tiny_service/__init__.py", "What", "All that")
    ran = patched.run(verb)
    assert ran.code == UnsavedWork.exit_code == 23
    assert "the overlay's copy" in ran.err
    assert f"tiny_service/{copy.name}" in ran.err
    assert "next: carry the change over to overlay/" in ran.err
    assert copy.read_text() == "edited = True\n"
    copy.unlink()
    patched.succeed("patch")


def test_a_new_sdist_does_not_take_the_edited_copy_with_it(patched: Checkout, surroundings: Path) -> None:
    """Other sources make another tree, but not before the copy is looked at."""
    raw = sdist("1.0", [Member("tiny-app-1.0/NEWS", b"news")])
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    (patched.patches / "upstream.toml").write_text(pins(tree=raw), "utf-8")
    (patched.tree / "tiny_service" / "hooks.py").write_text("edited = True\n")
    assert patched.run("patch").code == UnsavedWork.exit_code
    assert (patched.tree / "tiny_service" / "hooks.py").read_text() == "edited = True\n"


def test_a_deleted_copy_is_laid_again(patched: Checkout) -> None:
    """A file that is missing from the copy comes back, and so does the generated one."""
    for name in ("hooks.py", "_version.py"):
        (patched.tree / "tiny_service" / name).unlink()
        patched.succeed("patch")
        assert (patched.tree / "tiny_service" / name).exists()
    (patched.tree / "tiny_service" / "_version.py").write_text("VERSION = 'mine'\n")
    patched.succeed("patch")
    assert "1.0+svc.1" in (patched.tree / "tiny_service" / "_version.py").read_text()


def test_a_file_that_left_the_overlay_leaves_the_tree(patched: Checkout) -> None:
    """The copy is exact, and byte code in it is no edit."""
    extra = patched.root / "overlay" / "tiny_service" / "extra.py"
    extra.write_text("x = 1\n")
    patched.succeed("patch")
    (patched.tree / "tiny_service" / "__pycache__").mkdir()
    (patched.tree / "tiny_service" / "__pycache__" / "extra.pyc").write_bytes(b"x")
    extra.unlink()
    patched.succeed("patch")
    assert not (patched.tree / "tiny_service" / "extra.py").exists()
