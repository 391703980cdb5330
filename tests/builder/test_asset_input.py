"""Tests of what assets are made from: references, wheels, rules, manifests and the table of libraries."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from asset_samples import (
    TYPES,
    collected,
    made_up,
    refusal,
    sample_bundle,
)

from builder.asset_checks import Asset
from builder.asset_files import FileTree
from builder.asset_rules import Pattern, Rule, Rules, load_rules
from builder.asset_templates import TemplateSet
from builder.assets import AssetSource, collect
from builder.bundle import Bundle
from builder.errors import AssetError
from builder.libraries import Library, libraries
from builder.manifest import Manifest


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return sample_bundle(tmp_path)


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
