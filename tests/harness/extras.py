"""The packages of extras that are not in the lock, for the tests of their hooks."""

from __future__ import annotations

from pathlib import Path

from builder.index import pip_settings
from builder.lock import index_options
from harness.environments import run
from harness.made import ROOT, key_of, made_once

_PINNED = ROOT / "requirements" / "extras-test.txt"


def extra_packages(interpreter: Path) -> Path:
    """A folder to put on the path of an interpreter that has the lock."""
    version = run([interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()

    def make(folder: Path) -> None:
        import uv

        run(
            [uv.find_uv_bin(), "pip", "install", "--quiet", f"--python={interpreter}", "--link-mode=copy",
             f"--target={folder / 'packages'}", "--no-deps", "--require-hashes", f"--requirement={_PINNED}",
             *index_options(pip_settings())]
        )  # fmt: skip

    return made_once(f"extras-py{version}", key_of(_PINNED), make) / "packages"
