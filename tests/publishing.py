"""A checkout with a built bundle, and a bucket of a real S3 server behind a proxy that can fail."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from harness.faulty_proxy import FaultyProxy
from harness.s3 import S3Server
from tiny_release import ROOT, Checkout, Ran

from builder.manifest import Manifest

VERSION = "1.0+svc.1"
MANIFEST = f"manifests/{VERSION}.json"
START = """\
import sys
from pathlib import Path
from builder.cli import main
sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
"""


@dataclass
class Site:
    """A checkout with a built bundle, and a bucket behind a proxy."""

    checkout: Checkout
    server: S3Server
    proxy: FaultyProxy
    bucket: str

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/some/prefix"

    @property
    def arguments(self) -> tuple[str, ...]:
        return (self.place, "--endpoint-url", self.proxy.url, "--timeout", "2")

    def publish(self, *more: str) -> Ran:
        self.proxy.requests.clear()
        return self.checkout.run("publish", *self.arguments, *more)

    def process(self, *verb: str, **environment: str) -> subprocess.Popen[str]:
        """The same as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", START, str(self.checkout.root), *verb], cwd=ROOT,
            env={**os.environ, **environment}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str], seconds: float) -> str:
        """Wait for a process; what it wrote to stderr. One that hangs fails with the stacks of its threads."""
        try:
            return process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            raise AssertionError(f"hangs: {process.communicate()[1]}") from None

    def stored(self) -> dict[str, bytes]:
        """What is in the store below the prefix."""
        found = self.server.objects(self.bucket, "some/prefix/")
        return {key.removeprefix("some/prefix/"): content for key, content in found.items()}

    def complete(self) -> bool:
        """Whether exactly the whole bundle is in the store, byte for byte."""
        manifest = Manifest.load((self.checkout.dist / f"manifest-{VERSION}.json").read_bytes())
        stored = self.stored()
        expected = {MANIFEST}
        for entry in manifest.assets.values():
            wanted = {"": entry.sha256} | {name: one.sha256 for name, one in entry.encodings.items()}
            for encoding, sha256 in wanted.items():
                key = f"a/{entry.name}{ {'': '', 'br': '.br', 'gzip': '.gz'}[encoding] }"
                expected.add(key)
                if hashlib.sha256(stored.get(key, b"")).hexdigest() != sha256:
                    return False
        return stored.keys() == expected
