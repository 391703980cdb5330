"""Tests of builder.unpack: what is unpacked, and what could leave its folder and is not."""

from __future__ import annotations

import contextlib
import io
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_release import Checkout, Member, fill_cache, pins, read_folder, sdist, tar_gz

from builder import unpack
from builder.errors import UnsafeArchive
from builder.unpack import unpack_sdist


def archive(folder: Path, raw: bytes, name: str = "sdist.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def zipped(members: dict[str, bytes], mode: int = 0o100644) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            bundle.writestr(info, content)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["sdist.tar.gz", "sdist.zip"])
def test_files_come_out_without_the_first_folder(tmp_path: Path, name: str) -> None:
    """Both forms of an sdist give the same tree, with modes of our own under any umask."""
    raw = (
        tar_gz(
            [
                Member("p-1", kind=tarfile.DIRTYPE),
                Member("p-1/a/b.txt", b"b", mode=0o6666),
                Member("p-1/run", b"r", mode=0o777),
            ]
        )
        if name.endswith("gz")
        else zipped({"p-1/": b"", "p-1/a/b.txt": b"b", "p-1/run": b"r"}, 0o100755)
    )
    unpack_sdist(archive(tmp_path, raw, name), tmp_path / "out")
    assert read_folder(tmp_path / "out") == {"a/b.txt": b"b", "run": b"r"}
    assert stat.S_IMODE((tmp_path / "out/run").stat().st_mode) == 0o755
    if name.endswith("gz"):
        assert stat.S_IMODE((tmp_path / "out/a/b.txt").stat().st_mode) == 0o644


BAD_MEMBERS = {
    "climbs": Member("p-1/../../evil", b"x"),
    "climbs-at-once": Member("../evil", b"x"),
    "absolute": Member("/tmp/evil", b"x"),
    "backslash": Member("p-1\\..\\evil", b"x"),
    "drive": Member("C:/evil", b"x"),
    "symbolic-link": Member("p-1/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "hard-link": Member("p-1/link", kind=tarfile.LNKTYPE, link="p-1/setup.py"),
    "character-device": Member("p-1/null", kind=tarfile.CHRTYPE),
    "block-device": Member("p-1/disk", kind=tarfile.BLKTYPE),
    "pipe": Member("p-1/pipe", kind=tarfile.FIFOTYPE),
    "git": Member("p-1/.git/hooks/post-commit", b"x", mode=0o755),
    "git-in-capitals": Member("p-1/a/.GIT/config", b"x"),
    "twice": Member("p-1/setup.py", b"other"),
    "a-file-as-folder": Member("p-1/setup.py/x", b"x"),
    "a-folder-as-file": Member("p-1/setup.py", kind=tarfile.DIRTYPE),
    "another-folder": Member("q-1/setup.py", b"x"),
    "no-folder": Member("setup.py", b"x"),
    "nameless": Member(".", b"x"),
    "long": Member(f"p-1/{'x' * 300}", b"x"),
}


@pytest.mark.parametrize("kind", BAD_MEMBERS)
def test_a_bad_member_is_refused(tmp_path: Path, kind: str) -> None:
    """A member that could write elsewhere, or over another one, ends the unpacking with its name."""
    bad = BAD_MEMBERS[kind]
    path = archive(tmp_path, tar_gz([Member("p-1/setup.py", b"good"), bad]))
    with pytest.raises(UnsafeArchive) as caught:
        unpack_sdist(path, tmp_path / "deep" / "out")
    assert "sdist.tar.gz" in str(caught.value)
    written = {name: raw for name, raw in read_folder(tmp_path).items() if name != "sdist.tar.gz"}
    assert written in ({}, {"deep/out/setup.py": b"good"})


@pytest.mark.parametrize("name", ["p-1/../../evil", "/evil", "p-1/.git/config", "q/x", "p-1/a/../b"])
def test_a_bad_zip_member_is_refused(tmp_path: Path, name: str) -> None:
    """The same holds for an sdist that is a zip."""
    path = archive(tmp_path, zipped({"p-1/a": b"a", name: b"x"}), "sdist.zip")
    with pytest.raises(UnsafeArchive):
        unpack_sdist(path, tmp_path / "out")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    """A zip says in a member's mode that it is a link."""
    path = archive(tmp_path, zipped({"p-1/link": b"/etc/passwd"}, 0o120777), "sdist.zip")
    with pytest.raises(UnsafeArchive, match="is a symbolic link"):
        unpack_sdist(path, tmp_path / "out")


@pytest.mark.parametrize("cut", [0, 1, 20, 200, -400])
@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_a_damaged_archive_is_refused(tmp_path: Path, cut: int, form: str) -> None:
    """A file that ends too early is damaged, wherever it ends."""
    raw = sdist("1.0") if form == "tar.gz" else zipped({f"p-1/{n}": bytes(99) for n in range(9)})
    path = archive(tmp_path, raw[:cut], f"sdist.{form}")
    with pytest.raises(UnsafeArchive, match="is damaged"):
        unpack_sdist(path, tmp_path / "out")


def test_flipped_bits_are_found(tmp_path: Path) -> None:
    """A changed byte in the compressed stream is damage and no crash."""
    raw = sdist("1.0")
    for place in (12, len(raw) // 2):
        changed = raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :]
        with pytest.raises(UnsafeArchive):
            unpack_sdist(archive(tmp_path, changed), tmp_path / f"out{place}")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would unpack to more than the limit is refused by the sizes that it states."""
    monkeypatch.setattr(unpack, "MOST_BYTES", 1000)
    path = archive(tmp_path, tar_gz([Member(f"p-1/{n}", bytes(400)) for n in range(3)]))
    with pytest.raises(UnsafeArchive, match="past 1000 bytes"):
        unpack_sdist(path, tmp_path / "out")
    assert len(read_folder(tmp_path / "out")) == 2


_PARTS = st.sampled_from(
    ["p-1", "..", ".", "", "a", "b", ".git", "~", "C:", "a\\b", "/", "ü", "\udcff", "x" * 256]
)
_NAMES = st.lists(_PARTS, min_size=1, max_size=5).map("/".join) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
)
_KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 4 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)


@st.composite
def members_of_any_name(draw: st.DrawFn) -> list[Member]:
    """Archive members with names and kinds that no back end would write."""
    top = draw(st.sampled_from(["", "p-1/"]))
    found = []
    for name in draw(st.lists(_NAMES, max_size=6)):
        kind = draw(_KINDS)
        content = b"x" if kind == tarfile.REGTYPE else b""
        found.append(Member(top + name, content, kind, draw(_NAMES)))
    return found


@given(members_of_any_name())
def test_nothing_is_ever_written_elsewhere(members: list[Member]) -> None:
    """Whatever an archive's members are called, only the target changes, or UnsafeArchive is raised."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = archive(folder, tar_gz(members))
        (folder / "guard").write_text("untouched")
        with contextlib.suppress(UnsafeArchive):
            unpack_sdist(path, folder / "deep" / "target")
        found = [p.relative_to(folder).as_posix() for p in folder.rglob("*")]
        outside = [p for p in found if p not in ("sdist.tar.gz", "guard", "deep", "deep/target")]
        assert all(p.startswith("deep/target/") for p in outside)
        assert (folder / "guard").read_text() == "untouched"
        assert not any(p.is_symlink() for p in folder.rglob("*"))


def test_an_empty_archive_ends_the_build(checkout: Checkout, surroundings: Path) -> None:
    """An archive without members is no sdist."""
    raw = tar_gz([])
    (checkout.patches / "upstream.toml").write_text(pins(tree=raw), "utf-8")
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    ran = checkout.run("patch")
    assert ran.code == UnsafeArchive.exit_code
    assert "holds nothing" in ran.err


@pytest.mark.parametrize("kind", ["climbs", "absolute", "symbolic-link", "character-device"])
def test_a_build_ends_with_its_own_exit_code(checkout: Checkout, surroundings: Path, kind: str) -> None:
    """An sdist that is pinned and yet unsafe ends the build with 14, and leaves no tree."""
    bad = BAD_MEMBERS[kind]
    raw = sdist("1.0", [Member(bad.name.replace("p-1", "tiny-app-1.0"), bad.content, bad.kind, bad.link)])
    text = pins(tree=raw)
    (checkout.patches / "upstream.toml").write_text(text, "utf-8")
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    ran = checkout.run("dist")
    assert ran.code == UnsafeArchive.exit_code == 14
    assert "tiny-app-1.0.tar.gz: the member" in ran.err
    assert "next: compare the file with the project's own release" in ran.err
    assert not checkout.tree.exists()
    assert checkout.snapshot("dist") == {}
    assert not list(checkout.root.glob("**/scratch-*"))
