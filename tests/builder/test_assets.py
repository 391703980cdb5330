"""Tests of the asset bundle, on made-up trees and on the real release."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from asset_samples import (
    EPOCH,
    ROOT,
    RULES,
    SAMPLE,
    TYPES,
    collected,
    made_up,
    members,
    refusal,
    sample_bundle,
    sample_rules,
)
from hypothesis import given
from hypothesis import strategies as st

from builder import assets, compress
from builder.asset_files import FileTree
from builder.asset_names import HASHED_NAME, hashed_name, name_fault
from builder.asset_rules import Rules, load_rules
from builder.assets import AssetSource, collect
from builder.bundle import Bundle, build_bundle
from builder.errors import AssetError
from builder.libraries import libraries
from builder.manifest import Manifest


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return sample_bundle(tmp_path)


def test_archive_holds_what_the_manifest_names(bundle: Bundle) -> None:
    """Each asset and variant is there, with the size and hashes that are stated."""
    files = members(bundle.archive)
    manifest = Manifest.load(bundle.manifest_path.read_bytes())
    assert manifest == bundle.manifest
    assert files.pop("manifests/1.0+svc.1.json") == bundle.manifest_path.read_bytes()
    for entry in manifest.assets.values():
        content = files.pop(f"a/{entry.name}", None)
        if content is None:
            continue  # two logical names, one object
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.size, entry.sha256)
        assert entry.integrity == "sha384-" + b64encode(hashlib.sha384(content).digest()).decode()
        for name, encoding in entry.encodings.items():
            variant = files.pop(f"a/{entry.name}{compress.SUFFIXES[name]}")
            assert (len(variant), hashlib.sha256(variant).hexdigest()) == (encoding.size, encoding.sha256)
            decoded = brotli.decompress(variant) if name == "br" else zlib.decompress(variant, wbits=31)
            assert decoded == content
    assert not files


def test_members_have_fixed_owner_mode_and_time(bundle: Bundle) -> None:
    """Nothing of the machine or the moment is in the archive."""
    with tarfile.open(bundle.archive) as tar:
        found = tar.getmembers()
    assert [member.name for member in found] == sorted(member.name for member in found)
    assert {(m.mtime, m.mode, m.uid, m.gid, m.uname, m.gname) for m in found} == {
        (EPOCH, 0o644, 0, 0, "", "")
    }
    assert bundle.archive.read_bytes()[4:8] == b"\0\0\0\0"


def test_style_sheets_name_hashed_files(bundle: Bundle) -> None:
    """Imports, fonts and images are followed; what is no file of ours stays."""
    files = members(bundle.archive)
    names = {logical: entry.name for logical, entry in bundle.manifest.assets.items()}
    main = files[f"a/{names['static/main.css']}"].decode()
    assert f'@import "{names["static/base.css"]}";' in main
    assert f"url({names['static/img/dot.svg']})" in main
    assert "url(#blur)" in main
    assert 'url("data:image/png;base64,AAAA")' in main
    assert "/* url(missing.svg) in a comment is no reference */" in main
    assert "sourceMappingURL" not in main
    base = files[f"a/{names['static/base.css']}"].decode()
    assert f"url('{names['static/fonts/icons.eot']}?#iefix')" in base
    assert f'url( "{names["static/fonts/icons.svg"]}#icons" )' in base
    theme = files[f"a/{names['static/deep/theme.css']}"].decode()
    assert f"url({names['static/img/my logo.svg']})" in theme
    assert names["static/img/my logo.svg"].startswith("my-logo.")


def test_same_bytes_are_one_object(bundle: Bundle) -> None:
    """Two logical names with the same base name and bytes share one object."""
    entries = bundle.manifest.assets
    assert entries["static/main.css"] == entries["admin/main.css"]
    assert bundle.totals()["assets"] == len(entries)
    assert bundle.totals()["objects"] == len({entry.name for entry in entries.values()}) < len(entries)


def test_groups_are_in_the_manifest(bundle: Bundle) -> None:
    """What a script loads by module name can be told from the manifest."""
    assert bundle.manifest.groups == {"editor": {"editor/mode/sql": "static/mode-sql.js"}}


def test_only_clear_gains_are_kept(bundle: Bundle) -> None:
    """A variant that saves less than the threshold is not made."""
    encodings = {name: entry.encodings for name, entry in bundle.manifest.assets.items()}
    assert set(encodings["static/twin.min.js"]) == {"br", "gzip"}
    assert not encodings["static/mode-sql.js"]


def test_bundle_is_reproducible(bundle: Bundle, tmp_path: Path) -> None:
    """Another place, another order of the folder and no cache give the same bytes."""
    elsewhere = tmp_path / "an other pläce"
    shutil.copytree(SAMPLE / "static", elsewhere / "static", copy_function=shutil.copyfile)
    (elsewhere / "static" / "main.css").rename(elsewhere / "main.css")
    (elsewhere / "main.css").rename(elsewhere / "static" / "main.css")
    tree = FileTree("sample", elsewhere / "static")
    sources = [AssetSource("admin", "admin.static", tree), AssetSource("static", "static", tree)]
    again = build_bundle(sources, sample_rules_without_templates(), "1.0+svc.1", EPOCH, tmp_path / "two", 1)
    assert again.archive.read_bytes() == bundle.archive.read_bytes()
    assert again.manifest_path.read_bytes() == bundle.manifest_path.read_bytes()


def sample_rules_without_templates() -> Rules:
    return replace(sample_rules(), dynamic=())


def test_largest(bundle: Bundle) -> None:
    """The report can show the biggest assets first."""
    [(name, entry)] = bundle.largest(1)
    assert name.endswith("twin.min.js")
    assert entry.size == max(entry.size for entry in bundle.manifest.assets.values())


def test_failed_build_leaves_the_older_bundle(bundle: Bundle, tmp_path: Path) -> None:
    """Nothing is half-written: a fault leaves what an earlier build made."""
    before = {path.name: path.read_bytes() for path in bundle.archive.parent.iterdir()}
    with pytest.raises(AssetError):
        build_bundle(
            made_up(tmp_path, {"a.css": "a{b:url(x.png)}"}),
            Rules(TYPES),
            "1.0+svc.1",
            EPOCH,
            bundle.archive.parent,
            1,
        )
    assert {path.name: path.read_bytes() for path in bundle.archive.parent.iterdir()} == before


def test_change_of_an_image_changes_the_sheets_name(tmp_path: Path) -> None:
    """A sheet's hash covers what it refers to, through imports too."""
    files: dict[str, str | bytes] = {"a.css": "@import 'b.css';", "b.css": "a{b:url(c.png)}", "c.png": b"1"}
    before = collected(tmp_path, files)
    after = collected(tmp_path, files | {"c.png": b"2"})
    assert all(before[name].name != after[name].name for name in before)


# --- odd and bad files --------------------------------------------------------------------------


def test_odd_names(tmp_path: Path) -> None:
    """Hashed names need no quoting, whatever the file is called."""
    files: dict[str, str | bytes] = {"a b+ü.min.js": "1", ".hidden.css": "", "x" * 200 + ".js": "2"}
    names = {logical: asset.name for logical, asset in collected(tmp_path, files).items()}
    assert names["static/a b+ü.min.js"].startswith("a-b-.min.")
    assert names["static/.hidden.css"].startswith("hidden.e3b0c44298fc1c149afb.css")
    assert all(len(name) < 140 and HASHED_NAME.fullmatch(name) for name in names.values())


def test_empty_file_has_no_variant(tmp_path: Path) -> None:
    """An empty file is an asset like any other."""
    built = build_bundle(made_up(tmp_path, {"a.css": ""}), Rules(TYPES), "1", EPOCH, tmp_path / "dist", 1)
    assert built.manifest.assets["static/a.css"].size == 0
    assert not built.manifest.assets["static/a.css"].encodings


def test_names_that_differ_by_case(tmp_path: Path) -> None:
    """Names that some file systems take for one are refused."""
    assert "static/A.css and static/a.css" in refusal(tmp_path, {"A.css": "1", "a.css": "2"})


def test_huge_file(tmp_path: Path) -> None:
    """A file beyond the limit is refused before it is read."""
    assert "has 1,001 bytes" in refusal(tmp_path, {"a.css": "a" * 1001}, Rules(TYPES, max_file_bytes=1000))


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    """What is served as UTF-8 must be UTF-8."""
    assert "www/static/a.css:2: not UTF-8" in refusal(tmp_path, {"a.css": b"a{}\n\xff"})
    (tmp_path / "static" / "a.css").unlink()
    assert "www/static/b.js:1: not UTF-8" in refusal(tmp_path, {"b.js": b"\xff"})


def test_unknown_type(tmp_path: Path) -> None:
    """A type is never guessed."""
    assert "static/a.exe" in refusal(tmp_path, {"a.exe": ""})


@pytest.mark.parametrize("make", ["link", "folder", "fifo"])
def test_links_and_special_files(tmp_path: Path, make: str) -> None:
    """Links and special files are refused, wherever they lead."""
    sources = made_up(tmp_path, {"a.css": ""})
    odd = tmp_path / "static" / "odd.css"
    if make == "fifo":
        os.mkfifo(odd)
    else:
        odd.symlink_to(tmp_path if make == "folder" else "a.css")
    with pytest.raises(AssetError) as caught:
        collect(sources, Rules(TYPES))
    assert "www/static/odd.css is " in caught.value.render()


def test_empty_or_missing_folder(tmp_path: Path) -> None:
    """A source that has moved away is noticed."""
    (tmp_path / "static").mkdir()
    assert "no file in www/static" in refusal(tmp_path, {})
    (tmp_path / "static").rmdir()
    assert "cannot read the folder www/static" in refusal(tmp_path, {})


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("x()\n//# sourceMappingURL=x.js.map\n", "x()\n"),
        ("x()\r\n//@ sourceMappingURL=x.js.map", "x()\n"),
        ("s='//# sourceMappingURL=x';\nx()\n", "s='//# sourceMappingURL=x';\nx()\n"),
    ],
)
def test_source_map_comments_of_scripts(tmp_path: Path, script: str, expected: str) -> None:
    """A script's last line may name a map, which is not in the bundle."""
    assert collected(tmp_path, {"x.js": script})["static/x.js"].content.decode() == expected


# --- names, rules, compression ------------------------------------------------------------------


@given(st.text(max_size=120), st.binary(max_size=20))
def test_hashed_name_is_safe_and_says_the_hash(path: str, content: bytes) -> None:
    """Whatever the path, the name is plain, visible, short and tells the content."""
    name = hashed_name(path, content)
    match = HASHED_NAME.fullmatch(name)
    assert match is not None
    assert hashlib.sha256(content).hexdigest().startswith(match["hash"])
    assert not name_fault(name)
    assert len(name) < 255


def test_double_extension() -> None:
    """The hash goes before the last extension."""
    assert re.fullmatch(r"jquery\.min\.[0-9a-f]{20}\.js", hashed_name("vendor/jquery.min.js", b""))
    assert re.fullmatch(r"LICENSE\.[0-9a-f]{20}", hashed_name("LICENSE", b""))


def test_gzip_has_no_time_and_no_name() -> None:
    """The header is ours, since Python's differs between versions."""
    made = compress.gzip(b"abc" * 1000)
    assert made[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    assert zlib.decompress(made, wbits=31) == b"abc" * 1000


def test_cache_is_used_and_never_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry saves the work; a damaged or foreign one is made again."""
    content = b"abc" * 1000
    made = compress.variants([content], tmp_path, 1, 0.1, 150)
    entries = sorted(tmp_path.iterdir())
    assert [entry.suffix for entry in entries] == [".br", ".gz"]
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-3])
    assert compress.variants([content], tmp_path, 1, 0.1, 150) == made
    monkeypatch.setattr(compress, "_compress", lambda *_: pytest.fail("compressed again"))
    assert compress.variants([content], tmp_path, 1, 0.1, 150) == made


# --- the real release ---------------------------------------------------------------------------


BUILD = """
import sys
from pathlib import Path
from builder import assets
from builder.asset_rules import load_rules
from builder.bundle import build_bundle
root, tree, wheel, out = map(Path, sys.argv[1:])
rules = load_rules(root / "assets" / "1.10" / "rules.toml")
sources, templates = assets.release_sources(rules, tree, {"flask-admin": wheel}, root / "assets")
build_bundle(sources, rules, "1", 1600000000, out, 2, templates=templates)
"""


@pytest.fixture(scope="session")
def flask_admin_wheel() -> Path:
    """The pinned wheel whose static files go into the bundle."""
    if known := os.environ.get("FLASK_ADMIN_WHEEL"):
        return Path(known)
    from builder.index import fetch
    from builder.release import load_release
    from builder.workspace import Workspace

    release = load_release(ROOT / "patches" / "1.10.15")
    wheels = fetch(release.asset_wheels, Workspace(ROOT).downloads)
    return wheels[release.asset_wheels[0].file]


def test_real_release_has_all_that_its_templates_ask_for(airflow_tree: Path, flask_admin_wheel: Path) -> None:
    """The rules fit the patched tree: no broken reference, no file without a reason."""
    rules = load_rules(RULES)
    sources, templates = assets.release_sources(
        rules, airflow_tree, {"flask-admin": flask_admin_wheel}, ROOT / "assets"
    )
    found = {asset.logical for asset in collect(sources, rules, templates)}
    assert {"static/ace.js", "static/main.css", "admin/vendor/jquery.min.js"} <= found
    assert not [
        name for name in found if "bootstrap2/" in name or "bootstrap4" in name or name.endswith(".map")
    ]


def test_real_libraries_are_what_the_table_says(airflow_tree: Path, flask_admin_wheel: Path) -> None:
    """Each script and style of the release belongs to a library or is Airflow's own."""
    rules = load_rules(RULES)
    sources, _ = assets.release_sources(
        rules, airflow_tree, {"flask-admin": flask_admin_wheel}, ROOT / "assets"
    )
    found = {(one.name, one.version) for one in libraries(sources, rules, RULES.with_name("libraries.toml"))}
    assert {("jquery", "3.5.1"), ("d3", "3.3.6"), ("moment", "2.22.2")} <= found


@pytest.mark.slow
def test_real_bundle_is_the_same_in_other_surroundings(
    airflow_tree: Path, flask_admin_wheel: Path, tmp_path: Path
) -> None:
    """Another directory, umask, time zone, locale and hash seed give the same bytes."""
    moved = tmp_path / "a böck"
    for part in ("static", "templates"):
        shutil.copytree(airflow_tree / "airflow" / "www" / part, moved / "airflow" / "www" / part)
    made = []
    for number, (tree, umask, zone) in enumerate(
        [(airflow_tree, 0o022, "UTC"), (moved, 0o077, "Asia/Kolkata")]
    ):
        out = tmp_path / f"out {number}"
        environment = os.environ | {
            "PYTHONHASHSEED": str(number), "TZ": zone, "LC_ALL": ["C", "C.UTF-8"][number], "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        subprocess.run(
            [sys.executable, "-c", BUILD, str(ROOT), str(tree), str(flask_admin_wheel), str(out)],
            check=True, env=environment, cwd=tmp_path if number else ROOT, umask=umask,
        )  # fmt: skip
        made.append({path.name: (path.read_bytes(), path.stat().st_mode) for path in out.iterdir()})
    assert made[0] == made[1]
    assert sorted(made[0]) == ["airflow-assets-1.tar.gz", "manifest-1.json"]
