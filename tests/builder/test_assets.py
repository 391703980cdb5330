"""Tests of the asset bundle, on made-up trees and on the real release."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import assets, compress
from builder.asset_checks import Asset
from builder.asset_files import FileTree
from builder.asset_names import HASHED_NAME, hashed_name, name_fault
from builder.asset_rules import FileType, Pattern, Rule, Rules, load_rules
from builder.asset_templates import TemplateSet
from builder.assets import AssetSource, collect
from builder.bundle import Bundle, build_bundle
from builder.errors import AssetError
from builder.libraries import Library, libraries
from builder.manifest import Manifest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "assets" / "1.10" / "rules.toml"
SAMPLE = Path(__file__).parents[1] / "samples" / "assets"
EPOCH = 1_600_000_000
TYPES = {
    ".css": FileType("text/css; charset=utf-8", compress=True),
    ".js": FileType("text/javascript; charset=utf-8", compress=True),
    ".png": FileType("image/png", compress=False),
}


def sample_sources(root: Path = SAMPLE) -> tuple[list[AssetSource], list[TemplateSet]]:
    """The sample's two endpoints lead to the same folder."""
    tree = FileTree("sample", root / "static")
    templates = TemplateSet("ours", FileTree("templates", root / "templates"))
    return [AssetSource("static", "static", tree)], [templates]


def made_up(tmp_path: Path, files: dict[str, str | bytes]) -> list[AssetSource]:
    """A source with these files."""
    folder = tmp_path / "static"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [AssetSource("static", "static", FileTree("www/static", folder))]


def collected(tmp_path: Path, files: dict[str, str | bytes], rules: Rules | None = None) -> dict[str, Asset]:
    found = collect(made_up(tmp_path, files), rules or Rules(TYPES))
    return {asset.logical: asset for asset in found}


def refusal(tmp_path: Path, files: dict[str, str | bytes], rules: Rules | None = None) -> str:
    """The message with which these files are refused."""
    with pytest.raises(AssetError) as caught:
        collected(tmp_path, files, rules)
    return caught.value.render()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    sources, templates = sample_sources()
    sources.append(AssetSource("admin", "admin.static", FileTree("sample", SAMPLE / "static")))
    return build_bundle(
        sources,
        sample_rules(),
        "1.0+svc.1",
        EPOCH,
        tmp_path / "dist",
        2,
        templates=templates,
        cache=tmp_path / "cache",
    )


def sample_rules() -> Rules:
    """The sample's rules; its second source is the first under another name."""
    rules = load_rules(SAMPLE / "rules.toml")
    keep = Rule((Pattern.of("*"),), "the sample keeps all")
    return replace(rules, keep=(keep,))


# --- the bundle ---------------------------------------------------------------------------------


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


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


# --- what the templates ask for -----------------------------------------------------------------


def with_template(tmp_path: Path, text: str, rules: Rules) -> list[Asset]:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text(text)
    templates = [TemplateSet("ours", FileTree("templates", tmp_path / "templates"))]
    return collect(made_up(tmp_path, {"a.css": "a{}", "b.js": "b()"}), rules, templates)


def template_refusal(tmp_path: Path, text: str, rules: Rules) -> str:
    with pytest.raises(AssetError) as caught:
        with_template(tmp_path, text, rules)
    return caught.value.render()


BOTH = """
{{ url_for('static', filename='a.css') }}
<script src="/static/b.js?x"></script>
"""


def test_all_that_is_asked_for_is_there(tmp_path: Path) -> None:
    """url_for and hand-written paths both count as asking."""
    assert len(with_template(tmp_path, BOTH, Rules(TYPES))) == 2


def test_missing_file_is_named_with_its_line(tmp_path: Path) -> None:
    """A template that asks for nothing that exists fails the build."""
    text = BOTH + "{{ url_for(\n'static', filename='c.js', v=1) }}"
    assert "templates/page.html:4: asks for static/c.js, which does not exist" in template_refusal(
        tmp_path, text, Rules(TYPES)
    )


def test_excluded_file_that_is_asked_for(tmp_path: Path) -> None:
    """A rule may not take away what a page needs."""
    rules = Rules(TYPES, exclude=(Rule((Pattern.of("static/a.css"),), "looked unused"),))
    assert "page.html:2: asks for static/a.css, left out because: looked unused" in template_refusal(
        tmp_path, BOTH, rules
    )


def test_excluded_although_referenced(tmp_path: Path) -> None:
    """A rule that says so may, and it must still be about something."""
    rule = Rule((Pattern.of("static/a.css"),), "only with maps", although_referenced=True)
    assert len(with_template(tmp_path, BOTH, Rules(TYPES, exclude=(rule,)))) == 1
    shutil.rmtree(tmp_path / "templates")
    text = "<script src='/static/b.js'></script>"
    assert "although_referenced, but no template asks" in template_refusal(
        tmp_path, text, Rules(TYPES, exclude=(rule,))
    )


def test_file_that_nothing_asks_for(tmp_path: Path) -> None:
    """Each file is either asked for, or covered by a rule with a reason."""
    text = "{{ url_for('static', filename='a.css') }}"
    assert "static/b.js is asked for by nothing" in template_refusal(tmp_path, text, Rules(TYPES))


def test_computed_name_needs_a_rule(tmp_path: Path) -> None:
    """What a template computes cannot be checked without being told."""
    text = BOTH + "{{ url_for('static', filename=name) }}"
    assert "page.html:4: a computed file name" in template_refusal(tmp_path, text, Rules(TYPES))


def test_unknown_static_endpoint(tmp_path: Path) -> None:
    """A static endpoint that belongs to no source is a fault."""
    text = "{{ url_for('other.static', filename='a.css') }}"
    assert "page.html:1: no source has the static endpoint 'other.static'" in template_refusal(
        tmp_path, text, Rules(TYPES)
    )


def test_broken_template(tmp_path: Path) -> None:
    """A template that Jinja cannot parse is named with its line."""
    assert "page.html:2: cannot be read" in template_refusal(tmp_path, "\n{% if %}", Rules(TYPES))


# --- faults in style sheets ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gone.png", "there is no www/static/css/gone.png"),
        ("../../x.png", "leads out of the folder"),
        ("../../../static/x.png", "leads out of the folder"),
        ("%2e%2e/%2e%2e/x.png", "leads out of the folder"),
        ("/static/x.png", "a path from the host's root"),
        ("..\\\\x.png", "a path from the host's root"),
        ("https://fonts.example/css", "an absolute address"),
        ("//fonts.example/css", "an absolute address"),
        ("%ff.png", "not UTF-8"),
        ("left.map", "is left out: maps"),
        (".", "there is no www/static/css"),
    ],
)
def test_bad_references(tmp_path: Path, url: str, says: str) -> None:
    """A reference that cannot work fails with file, line and the reference."""
    rules = Rules(TYPES, exclude=(Rule((Pattern.of("*.map"),), "maps"),))
    files: dict[str, str | bytes] = {"css/a.css": f"\n\na{{b:url({url})}}", "css/left.map": "", "x.png": b""}
    message = refusal(tmp_path, files, rules)
    assert "www/static/css/a.css:3: " in message
    assert says in message


def test_all_broken_references_at_once(tmp_path: Path) -> None:
    """One run shows every broken reference."""
    message = refusal(tmp_path, {"a.css": "a{b:url(x.png)}\na{b:url(y.png)}", "b.css": "a{b:url(z.png)}"})
    assert re.findall(r"www/static/(\S+):", message) == ["a.css:1", "a.css:2", "b.css:1"]


def test_circle_of_imports(tmp_path: Path) -> None:
    """Hashed names cannot be made for sheets that import each other."""
    message = refusal(tmp_path, {"a.css": "@import 'b.css';", "b.css": "@import url(a.css);"})
    assert "static/a.css -> static/b.css -> static/a.css" in message


def test_external_address_by_rule(tmp_path: Path) -> None:
    """A written exception lets one absolute address through, and must be needed."""
    rules = Rules(TYPES, external={"https://fonts.example/css": "until the patch"})
    files: dict[str, str | bytes] = {"a.css": "@import 'https://fonts.example/css';"}
    assert collected(tmp_path, files, rules)["static/a.css"].content == files["a.css"].encode()  # type: ignore[union-attr]
    (tmp_path / "static" / "a.css").unlink()
    assert "no style sheet names it" in refusal(tmp_path, {"a2.css": ""}, rules)


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


def wheel(path: Path, names: list[str]) -> list[AssetSource]:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "a{}")
    return [AssetSource("admin", "admin.static", FileTree("pkg/static", path, "pkg/static"))]


def test_files_in_a_wheel(tmp_path: Path) -> None:
    """A wheel's files are read in place, without unpacking."""
    sources = wheel(tmp_path / "x.whl", ["pkg/static/a.css", "pkg/other.py"])
    assert [asset.logical for asset in collect(sources, Rules(TYPES))] == ["admin/a.css"]


@pytest.mark.parametrize(
    "name", ["pkg/static/../a.css", "pkg/static//a.css", "pkg/static/a\tb.css", "pkg/static/e\u0301.css"]
)
def test_bad_names_in_a_wheel(tmp_path: Path, name: str) -> None:
    """Names that mean another path on some system are refused."""
    with pytest.raises(AssetError):
        collect(wheel(tmp_path / "x.whl", [name]), Rules(TYPES))


def test_damaged_wheel(tmp_path: Path) -> None:
    """A truncated wheel gives a message that says so."""
    sources = wheel(tmp_path / "x.whl", ["pkg/static/a.css"])
    (tmp_path / "x.whl").write_bytes((tmp_path / "x.whl").read_bytes()[:-10])
    with pytest.raises(AssetError, match=r"cannot read x\.whl"):
        collect(sources, Rules(TYPES))


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


def test_stale_rules(tmp_path: Path) -> None:
    """A rule whose target vanished fails, by name."""
    rules = Rules(
        TYPES,
        exclude=(Rule((Pattern.of("static/a.*"), Pattern.of("static/gone/*")), "a"),),
        keep=(Rule((Pattern.of("static/never.js"),), "b"),),
    )
    message = refusal(tmp_path, {"a.css": "", "b.css": ""}, rules)
    assert "[[exclude]] static/gone/*: matches no file" in message
    assert "[[keep]] static/never.js: matches no file" in message
    assert "static/a.*" not in message


def test_all_faults_of_a_rules_file(tmp_path: Path) -> None:
    """A rules file fails with every fault and its place."""
    (tmp_path / "rules.toml").write_text(
        'surplus = 1\n[types]\n".css" = { content_type = 1, compress = true }\n'
        '[[exclude]]\nmatch = []\nreason = " "\n[[exclude]]\nmatch = ["a"]\nreasn = "x"\n'
        '[[group]]\nname = "g"\nreason = "r"\nmodules = { "a/*" = "b" }\n'
    )
    with pytest.raises(AssetError) as caught:
        load_rules(tmp_path / "rules.toml")
    places = {line.split(": ")[0] for line in caught.value.detail.splitlines()}
    assert places == {
        "surplus", 'types.".css".content_type', "exclude[0].match", "exclude[0].reason", "exclude[1].reasn",
        "exclude[1].reason", "group[0].modules.a/*", "limits.max_file_bytes", "compression.min_saved_ratio",
        "compression.min_saved_bytes",
    }  # fmt: skip


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


# --- the manifest -------------------------------------------------------------------------------


def test_manifest_faults_have_paths(bundle: Bundle) -> None:
    """A bad manifest fails with the path to each bad value."""
    document = json.loads(bundle.manifest_path.read_bytes())
    entry = document["assets"]["static/twin.min.js"]
    entry["size"] = "12"
    entry["integrity"] = "sha384-xx"
    entry["encodings"]["br"]["sha256"] = None
    del document["assets"]["static/main.css"]["type"]
    document["assets"]["static/base.css"]["name"] = "../base.css"
    document["groups"]["editor"]["x"] = "static/gone.js"
    document["more"] = 1
    with pytest.raises(AssetError) as caught:
        Manifest.load(json.dumps(document))
    places = {line.split(": ")[0] for line in caught.value.detail.splitlines()}
    assert places >= {
        "$.assets['static/twin.min.js'].size",
        "$.assets['static/twin.min.js'].integrity",
        "$.assets['static/twin.min.js'].encodings.br.sha256",
        "$.assets['static/main.css'].type",
        "$.assets['static/base.css'].name",
        "$.groups['editor']['x']",
        "$.more",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 2}', '{"format": "1"}', "[" * 100_000])
def test_manifest_that_is_none(text: str) -> None:
    """Truncated files, other documents and other formats are told apart from ours."""
    with pytest.raises(AssetError):
        Manifest.load(text)


def test_manifest_with_a_name_twice(bundle: Bundle) -> None:
    """JSON readers disagree about a repeated key, so there is none."""
    text = bundle.manifest_path.read_text().replace('"format": 1,', '"format": 1, "format": 1,')
    with pytest.raises(AssetError, match="not valid"):
        Manifest.load(text)


# --- the bundled libraries ----------------------------------------------------------------------

TABLE = """
own = ["static/ours.js"]
[[library]]
name = "d3"
version = "3.3.6"
licence = "BSD-3-Clause"
purl = "pkg:npm/d3@3.3.6"
[library.marks]
"static/d3.min.js" = 'version:"3.3.6"'
"""
LIBRARY_FILES: dict[str, str | bytes] = {"ours.js": "", "d3.min.js": 'd3={version:"3.3.6"}'}


def listed(
    tmp_path: Path, files: dict[str, str | bytes], table: str, rules: Rules | None = None
) -> list[Library]:
    (tmp_path / "libraries.toml").write_text(table)
    return libraries(made_up(tmp_path, files), rules or Rules(TYPES), tmp_path / "libraries.toml")


def test_libraries(tmp_path: Path) -> None:
    """Each library is listed with its version, and whether the bundle has it."""
    [d3] = listed(tmp_path, LIBRARY_FILES, TABLE)
    assert (d3.purl, d3.files, d3.bundled) == ("pkg:npm/d3@3.3.6", ("static/d3.min.js",), True)
    [d3] = listed(tmp_path, LIBRARY_FILES, TABLE, Rules(TYPES, exclude=(Rule((Pattern.of("*d3*"),), "x"),)))
    assert not d3.bundled


@pytest.mark.parametrize(
    ("files", "table", "says"),
    [
        (
            {"ours.js": "", "d3.min.js": 'd3={version:"3.5.17"}'},
            TABLE,
            "d3 3.3.6: static/d3.min.js no longer says",
        ),
        ({"ours.js": ""}, TABLE, "d3 3.3.6: static/d3.min.js is not there"),
        ({"d3.min.js": 'version:"3.3.6"'}, TABLE, "own: static/ours.js: matches no file"),
        (LIBRARY_FILES | {"new.js": ""}, TABLE, "static/new.js: belongs to no library"),
        (LIBRARY_FILES, TABLE.replace('version:"3.3.6"', "d3="), "no mark says 3.3.6; give stated_by"),
        (LIBRARY_FILES, TABLE.replace('"pkg:npm/d3@3.3.6"', '"npm d3"'), "is no package URL"),
        (LIBRARY_FILES, TABLE + '[library.sha256]\n"static/d3.min.js" = "00"', "has sha256 "),
        (LIBRARY_FILES, TABLE.replace("licence", "license"), "library[0].license: no such key"),
    ],
)
def test_library_faults(tmp_path: Path, files: dict[str, str | bytes], table: str, says: str) -> None:
    """A library that changed, moved or came new fails, by name."""
    with pytest.raises(AssetError) as caught:
        listed(tmp_path, files, table)
    assert says in caught.value.detail


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
