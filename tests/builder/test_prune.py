"""Tests of builder.prune against a real S3 server, beside publishers too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from harness.bundles import make_dist, sample_files
from harness.faulty_proxy import Fault
from publishing import START, Site
from tiny_release import ROOT, Ran

from builder.cdn_layout import manifest_key
from builder.cdn_manifests import named_objects
from builder.manifest import Manifest

OLD = ("--older-than", "0")


def publish(site: Site, number: int) -> set[str]:
    """Publish version `number`; returns what it is made of in the store."""
    pin = site.checkout.patches / "upstream.toml"
    text = pin.read_text()
    start = text.index("revision = ")
    pin.write_text(text[:start] + f"revision = {number}" + text[text.index("\n", start) :])
    manifest = make_dist(site.checkout.dist, sample_files(number, count=2), f"1.0+svc.{number}")
    ran = site.publish()
    assert ran.code == 0, ran.err
    return named_objects(manifest) | {manifest_key(manifest.version)}


def prune(site: Site, *more: str) -> Ran:
    return site.checkout.run("prune", *site.arguments, *more)


def named_by_what_is_there(site: Site) -> set[str]:
    stored = site.stored()
    manifests = {key: Manifest.load(raw) for key, raw in stored.items() if key.startswith("manifests/")}
    return {name for manifest in manifests.values() for name in named_objects(manifest)} | manifests.keys()


@pytest.fixture
def five(site: Site) -> list[set[str]]:
    """Five versions, one after the other."""
    return [publish(site, number) for number in range(1, 6)]


def test_the_newest_stay(site: Site, five: list[set[str]]) -> None:
    """The three newest manifests and all that they name stay; the rest goes, shown first."""
    ran = prune(site, *OLD, "--yes")
    assert ran.code == 0, ran.err
    assert site.stored().keys() == five[2] | five[3] | five[4]
    gone = (five[0] | five[1]) - site.stored().keys()
    shown = {line.split()[-1] for line in ran.out.splitlines() if line.startswith("remove  ")}
    assert shown == gone
    assert "nothing to remove" in prune(site, *OLD, "--yes").out


def test_a_version_to_be_kept_that_is_not_there(site: Site, five: list[set[str]]) -> None:
    """A slip in --keep-version would otherwise remove what a cluster still runs."""
    before = site.stored().keys()
    done = prune(site, *OLD, "--yes", "--keep", "1", "--keep-version", "1.0-svc.2")
    assert site.stored().keys() == before
    assert done.code == 33
    assert "1.0-svc.2.json is not there" in done.err


def test_what_stays_by_choice(site: Site, five: list[set[str]]) -> None:
    """--keep and --keep-version; the checkout's own version stays whatever is newest."""
    assert prune(site, *OLD, "--yes", "--keep", "1", "--keep-version", "1.0+svc.2").code == 0
    assert site.stored().keys() == five[1] | five[4]
    time.sleep(1.1)  # the store's times are whole seconds
    publish(site, 1)
    pin = site.checkout.patches / "upstream.toml"
    pin.write_text(pin.read_text().replace("revision = 1", "revision = 2"))
    assert prune(site, *OLD, "--yes", "--keep", "1").code == 0
    assert site.stored().keys() == five[0] | five[1]


def test_what_is_young_stays(site: Site, five: list[set[str]]) -> None:
    """By default nothing goes that is younger than a week."""
    before = site.stored()
    ran = prune(site, "--yes", "--keep", "1")
    assert ran.code == 0
    assert site.stored() == before
    assert "nothing to remove" in ran.out


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--dry-run", "--yes")])
def test_nothing_goes_unasked(site: Site, five: list[set[str]], arguments: tuple[str, ...]) -> None:
    """Without a terminal to ask on, or with --dry-run, it is shown only."""
    before = site.stored()
    ran = prune(site, *OLD, *arguments)
    assert ran.code == 0
    assert "remove  " in ran.out
    assert site.stored() == before


@pytest.mark.parametrize("arguments", [("--keep", "0"), ("--keep", "x"), ("--older-than", "-1")])
def test_bad_arguments(site: Site, arguments: tuple[str, ...]) -> None:
    """A prune that would keep no manifest is a slip of the finger."""
    assert prune(site, *arguments).code == 2


def test_loose_objects_go(site: Site) -> None:
    """What an upload left that never came to its manifest goes, and foreign files beside ours stay."""
    kept = publish(site, 1)
    client = site.server.client()
    for key in ("a/left.0123456789abcdef0123.js", "somebody/else.txt"):
        client.put_object(Bucket=site.bucket, Key=f"some/prefix/{key}", Body=b"x")
    assert prune(site, *OLD, "--yes").code == 0
    assert site.stored().keys() == kept | {"somebody/else.txt"}


def test_a_manifest_that_cannot_be_read(site: Site, five: list[set[str]]) -> None:
    """What a kept manifest names is unknown then: nothing goes."""
    client = site.server.client()
    client.put_object(Bucket=site.bucket, Key="some/prefix/manifests/9.json", Body=b'{"format": 9}')
    before = site.stored()
    ran = prune(site, *OLD, "--yes")
    assert ran.code == 36
    assert "manifests/9.json" in ran.err
    assert site.stored() == before


def test_manifests_go_first(site: Site, five: list[set[str]]) -> None:
    """Where deleting stops half-way, no manifest names what is gone."""
    site.proxy.requests.clear()
    site.proxy.faults = [Fault("lost", "POST", "delete")]
    assert prune(site, *OLD, "--yes").code == 0
    assert site.proxy.faults[0].times == 0
    time.sleep(1.1)  # the store's times are whole seconds
    publish(site, 1)

    def deny_the_next(method: str, path: str) -> None:
        if method == "POST":
            site.proxy.faults.append(Fault("403 AccessDenied", "POST", times=1000))

    site.proxy.before = deny_the_next
    ran = prune(site, *OLD, "--yes", "--keep", "1")
    assert ran.code == 32, ran.err
    site.proxy.before, site.proxy.faults = None, []
    left = {key for key in site.stored() if key.startswith("manifests/")}
    assert left == {manifest_key("1.0+svc.1")}
    assert named_by_what_is_there(site) < {key for key in site.stored() if not key.startswith("pruning/")}


def test_who_may_not_delete(site: Site, five: list[set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to delete, a code of its own and the right that is missing."""
    before = site.stored()
    for name, value in site.server.keys("reader").items():
        monkeypatch.setenv(name, value)
    ran = prune(site, *OLD, "--yes")
    assert ran.code == 32
    assert "s3:DeleteObject" in ran.err
    assert site.stored() == before


def test_a_publisher_at_work(site: Site, five: list[set[str]]) -> None:
    """While a publisher's mark is fresh nothing is removed, and the prune's own mark goes again."""
    client = site.server.client()
    client.put_object(Bucket=site.bucket, Key="some/prefix/publishing/0123", Body=b"1.0 by host")
    before = site.stored()
    ran = prune(site, *OLD, "--yes")
    assert ran.code == 37
    assert "publishing/0123" in ran.err
    assert site.stored() == before


def test_marks_of_killed_ones(site: Site, five: list[set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that is old is of a killed one, and is swept up."""
    client = site.server.client()
    for key in ("publishing/0123", "pruning/4567"):
        client.put_object(Bucket=site.bucket, Key=f"some/prefix/{key}", Body=b"killed")
    monkeypatch.setattr("builder.turns.BELIEVED", timedelta(0))
    assert prune(site, *OLD, "--yes").code == 0
    assert site.stored().keys() == five[2] | five[3] | five[4]


def test_a_publish_between_the_look_and_the_deletion(
    site: Site, five: list[set[str]], tmp_path: Path
) -> None:
    """An old version is published again after the prune was shown: what it names stays.

    The publisher finds its assets in the store, stores the manifest alone, and
    the prune, which had them on its list, must not remove them.
    """
    done: list[int] = []

    def publish_meanwhile(method: str, path: str) -> None:
        if method == "PUT" and "/pruning/" in path and not done:
            done.append(1)
            site.proxy.before = None
            time.sleep(1.1)
            publish(site, 1)

    client = site.server.client()
    client.delete_object(Bucket=site.bucket, Key=f"some/prefix/{manifest_key('1.0+svc.1')}")
    site.proxy.before = publish_meanwhile
    ran = prune(site, *OLD, "--yes")
    assert ran.code == 0, ran.err
    assert done
    assert five[0] <= site.stored().keys()
    assert named_by_what_is_there(site) <= site.stored().keys()


def test_a_publisher_and_a_prune_race(site: Site, five: list[set[str]]) -> None:
    """Started at the same moment, again and again, one may give way; no manifest ever names what is gone."""
    for round_ in range(4):
        codes: list[int] = []
        arguments = [("publish", *site.arguments), ("prune", *site.arguments, *OLD, "--yes", "--keep", "1")]
        manifest = make_dist(site.checkout.dist, sample_files(round_, count=2), "1.0+svc.5")
        client = site.server.client()
        client.delete_object(Bucket=site.bucket, Key=f"some/prefix/{manifest_key(manifest.version)}")
        processes = [site.process(*one) for one in arguments]
        for process in processes:
            _, err = process.communicate(timeout=60)
            codes.append(process.returncode)
            assert process.returncode in (0, 37), err
        assert 0 in codes or codes == [37, 37]
        assert named_by_what_is_there(site) <= site.stored().keys()


def test_asked_on_a_terminal(site: Site, five: list[set[str]]) -> None:
    """On a terminal it asks: anything but yes removes nothing."""
    before = site.stored()
    for answer, removed in (("n\n", False), ("\n", False), ("y\n", True)):
        leader, follower = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(site.checkout.root), "prune", *site.arguments, *OLD],
            cwd=ROOT, stdin=follower, stdout=subprocess.PIPE, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        os.write(leader, answer.encode())
        out, _ = process.communicate(timeout=60)
        os.close(leader)
        assert process.returncode == 0
        assert b"remove  " in out
        assert (site.stored() != before) is removed
