"""Readers of the CDN while versions are published, many of them by publishers that are killed.

With --thorough there are a hundred, in about two minutes.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from harness.bundles import make_dist, sample_files
from harness.cdn import cdn
from publishing import Site

from builder.cdn_layout import manifest_key
from builder.cdn_manifests import named_objects
from builder.manifest import Manifest

# About what a publish of such a bundle takes: the manifest's, the mark's, the listings, the objects'.
REQUESTS = 17


@dataclass
class Reader:
    """Asks the CDN again and again for manifests, and, once there is one, for all that it names."""

    url: str
    wanted: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    polls: int = 0
    faults: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with requests.Session() as session:
            session.headers["Accept-Encoding"] = "identity"
            while not self.stopped.is_set():
                for version in [version for version in self.wanted if version not in self.seen]:
                    self._look(session, version)
                time.sleep(0.003)

    def _look(self, session: requests.Session, version: str) -> None:
        self.polls += 1
        answer = session.get(f"{self.url}/{quote(manifest_key(version))}", timeout=30)
        if answer.status_code != 200:
            return
        for key in sorted(named_objects(Manifest.load(answer.content))):
            asset = session.get(f"{self.url}/{key}", timeout=30)
            if asset.status_code != 200:
                self.faults.append(f"{version} names {key}: {asset.status_code}")
        self.seen.add(version)


class Moment:
    """The moment when the store has got so many requests of a publish."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._left = 0

    def wait_for(self, requests: int) -> None:
        self.reached.clear()
        self._left = requests

    def pass_by(self, method: str, path: str) -> None:
        self._left -= 1
        if self._left <= 0:
            self.reached.set()
        # Spread the requests out, so that a kill meets every state between.
        time.sleep(0.01)


def test_a_reader_never_meets_a_missing_asset(site: Site, tmp_path: Path, thorough: bool) -> None:
    """A manifest that can be read names nothing that is missing, whenever publishers are killed.

    Each version shares assets with the others; some are published by two at
    once, about half of the publishers are killed at a random moment, and some
    versions never come to an end.
    """
    publishes = 100 if thorough else 20
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    finished: set[str] = set()
    killed = 0
    moment = Moment()
    site.proxy.before = moment.pass_by
    with cdn(site.server, site.bucket, "some/prefix") as origin:
        reader = Reader(origin.url)
        thread = threading.Thread(target=reader.run)
        thread.start()
        try:
            for number in range(1, publishes + 1):
                version = f"1.0+svc.{number}"
                dist = tmp_path / str(number)
                make_dist(dist, sample_files(number, count=8), version)
                pin = site.checkout.patches / "upstream.toml"
                text = pin.read_text().replace(f"revision = {number - 1}\n", f"revision = {number}\n")
                pin.write_text(text)
                reader.wanted.append(version)
                deadly = chance.random() < 0.5
                moment.wait_for(chance.randint(1, REQUESTS))
                processes = [
                    site.process("publish", *site.arguments, "--dist", str(dist))
                    for _ in range(1 + (chance.random() < 0.2))
                ]
                if deadly:
                    while not moment.reached.wait(0.05) and processes[0].poll() is None:
                        continue
                    if processes[0].poll() is None:
                        processes[0].kill()
                for process in processes:
                    _, err = process.communicate(timeout=60)
                    assert process.returncode in (0, -signal.SIGKILL), f"seed {seed}: {err}"
                    killed += process.returncode != 0
                    if process.returncode == 0:
                        finished.add(version)
            end = time.monotonic() + 20
            while not finished <= reader.seen and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            reader.stopped.set()
            thread.join()
    assert reader.faults == [], f"seed {seed}"
    assert finished <= reader.seen
    assert killed, "a test without a kill shows nothing"
    assert reader.polls > 3 * publishes
    print(f"{publishes} publishes, {killed} killed, {len(reader.seen)} manifests read, {reader.polls} polls")


@pytest.fixture(autouse=True)
def _no_leftovers(site: Site) -> object:
    """End what a failed test left running."""
    started: list[subprocess.Popen[str]] = []
    original = site.process

    def process(*verb: str, **environment: str) -> subprocess.Popen[str]:
        started.append(original(*verb, **environment))
        return started[-1]

    site.process = process  # type: ignore[method-assign]
    yield
    for one in started:
        if one.poll() is None:
            one.kill()
            one.communicate()
