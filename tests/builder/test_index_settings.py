"""Tests of builder.pip and builder.index: which index is asked, and how, is what pip is set up for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tiny_release import REFERENCE, ROOT, Checkout, FakeIndex, serving

from builder import pip
from builder.errors import IndexFailure
from builder.index import Index
from builder.pip import IndexSettings, pip_settings


@pytest.mark.parametrize("way", ["url", "netrc"])
def test_an_index_that_asks_for_a_password(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The password of the index's URL, or of ~/.netrc, is used; the user is never asked."""
    index.password = "open sesame"
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    if way == "url":
        monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//reader:open%20sesame@") + "/simple")
    else:
        netrc = surroundings / ".netrc"
        netrc.write_text('machine 127.0.0.1 login reader password "open sesame"\n', "utf-8")
        netrc.chmod(0o600)
    empty_checkout.succeed("fetch")


def test_a_password_is_in_no_message(
    empty_checkout: Checkout, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failure prints goes into logs that others read."""
    index.password = "open"
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//reader:sesame@") + "/simple")
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "sesame" not in ran.err


def test_extra_indexes_and_find_links(
    empty_checkout: Checkout, index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the main index lacks comes from an extra index, or from a plain folder."""
    with serving(FakeIndex({"tiny-admin": index.projects.pop("tiny-admin")}, form="html")) as extra:
        folder = tmp_path / "wheels of mine"
        folder.mkdir()
        (folder / REFERENCE).write_bytes(index.projects["tiny-app"].pop(REFERENCE))
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://127.0.0.1:9/simple {extra.url}/simple")
        monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
        empty_checkout.succeed("fetch")


def test_no_index_means_the_folder_alone(
    empty_checkout: Checkout, index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pip's no-index no server is asked, even where one is named."""
    for files in index.projects.values():
        for name, raw in files.items():
            (tmp_path / name).write_bytes(raw)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    empty_checkout.succeed("fetch")
    assert index.asked == []


def test_pips_configuration_file(
    real_pip: None,
    empty_checkout: Checkout,
    index: FakeIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The index of a pip.conf is asked, as pip itself would."""
    monkeypatch.delenv("PIP_INDEX_URL")
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}/simple\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    empty_checkout.succeed("fetch")


def listed(monkeypatch: pytest.MonkeyPatch, lines: str) -> IndexSettings:
    done = subprocess.CompletedProcess([], 0, stdout=lines, stderr="")
    monkeypatch.setattr(pip.subprocess, "run", lambda *_, **__: done)
    return pip_settings()


# pip up to 25 lists the environment first, later ones last.
ENVIRONMENT = ":env:.index-url='http://environment/'\n:env:.default-timeout='7'\n"
FILES = (
    "download.index-url='http://download/'\nglobal.index-url='http://global/'\nglobal.timeout='60'\n"
    "global.trusted-host='one two'\ninstall.index-url='http://install/'\ninstall.find-links='\\n/a\\n/b'\nlist.x='1'\n"
)


@pytest.mark.parametrize("lines", [ENVIRONMENT + FILES, FILES + ENVIRONMENT])
def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """In whichever order pip lists them: environment, then the command's section, then the global one."""
    settings = listed(monkeypatch, lines)
    assert settings.index_url == "http://environment/"
    assert settings.timeout == 7
    assert settings.trusted_hosts == ("one", "two")
    assert settings.find_links == ("/a", "/b")


def test_a_commands_section_wins_over_the_global_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `pip download`."""
    assert listed(monkeypatch, FILES).index_url == "http://download/"


def test_without_configuration_the_public_index_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unconfigured pip asks the public index over https, and so does the build."""
    [url] = listed(monkeypatch, "").index_urls
    assert url.startswith("https://")
    assert url.endswith("/simple/")


def test_no_index_is_named_in_the_repository() -> None:
    """Which index is asked is pip's configuration: no file of the checkout names the public one."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    host = urlsplit(IndexSettings().index_urls[0]).hostname or "no host"
    done = subprocess.run(
        ["git", "grep", "-l", "-F", host], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    "line", ["global.timeout='soon'", "global.cert='/no/such/file.pem'", "global.proxy='nonsense'"]
)
def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A mistake in pip's configuration is told as such."""
    with pytest.raises(IndexFailure, match=r"pip's (timeout|cert)"):
        Index(listed(monkeypatch, line))


def test_a_broken_configuration_file_is_told(
    real_pip: None, empty_checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's own words about it are shown; the public index is not asked instead."""
    (tmp_path / "pip.conf").write_text("index-url = nothing before a section\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "pip cannot say how it is set up" in ran.err


def test_the_users_own_pip_is_asked(
    surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter that the user started knows of configuration that the build's environment does not."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"global.index-url='http://mine/'\"\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setenv("BUILD_BASE_PYTHON", str(python))
    assert pip_settings().index_url == "http://mine/"
    python.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    assert pip_settings().index_url == "http://127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(path), "-out", str(path) + ".crt", "-days", "2", "-subj", "/CN=tests"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(str(path) + ".crt").read_text())
    return path


@pytest.fixture
def https_index(index: FakeIndex, certificate: Path) -> Iterator[FakeIndex]:
    with serving(FakeIndex(index.projects), certificate) as served:
        yield served


@pytest.mark.parametrize("trust", ["cert", "trusted-host", ""])
def test_https_with_a_certificate_of_ones_own(
    empty_checkout: Checkout,
    https_index: FakeIndex,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    trust: str,
) -> None:
    """pip's cert and trusted-host hold here too; without either an unknown certificate is refused."""
    monkeypatch.setenv("PIP_INDEX_URL", f"{https_index.url}/simple")
    if trust == "cert":
        monkeypatch.setenv("PIP_CERT", str(certificate))
    elif trust:
        monkeypatch.setenv("PIP_TRUSTED_HOST", https_index.url.removeprefix("https://"))
    ran = empty_checkout.run("fetch")
    assert ran.code == (0 if trust else IndexFailure.exit_code), ran.err
    assert trust or "certificate" in ran.err.lower()
