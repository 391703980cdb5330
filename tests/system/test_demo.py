"""`make demo`: the distribution of dist/ runs a DAG, behind nginx, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from harness.environments import BASE_PYTHON, build
from harness.gateway import Visitor
from harness.made import ROOT
from harness.processes import Running, running, wait_for
from harness.servers import program

pytestmark = [pytest.mark.slow]

DEMO = [BASE_PYTHON, "-m", "builder.bootstrap", "build", "-m", "demo", "--port", "0"]
READY = "Ctrl-C stops everything."


def seen_below(demo: Running, seen: set[int]) -> bool:
    """Note who is below the demo; whether it has ended."""
    seen.update(demo.descendants())
    return demo.process.poll() is not None


def living(pids: set[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def test_once(dist: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """With --once it ends by itself: exit code 0 after the DAG's success."""
    seen: set[int] = set()
    with running([*DEMO, "--once"], tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 400)
        assert demo.process.returncode == 0, demo.output
        assert READY in demo.output
        assert seen
        assert living(seen) == []


def look_at(output: str) -> None:
    """The address that the demo prints, who may open it, and all that its page asks for."""
    [url] = re.findall(r"^http://\S+", output, re.M)
    [cdn] = re.findall(r"with the assets of (http://\S+)", output)
    assert "/airflow-demo/admin/" in url
    origin, prefix, path = url.partition("/airflow-demo")
    admin, user, nobody = (Visitor(origin, "/gateway") for _ in range(3))
    assert (
        nobody.get(prefix + path, Accept="text/html").headers["Location"].startswith("/gateway/login?next=")
    )
    for visitor, name in ((admin, "admin"), (user, "user")):
        [password] = re.findall(rf"^  {name} +(\S+)$", output, re.M)
        assert visitor.login(name, password, prefix + path).headers["Location"] == prefix + path
    assert admin.get("/airflow-demo/admin/connection/").status_code == 200
    assert user.get("/airflow-demo/admin/connection/").status_code == 403
    page = user.get(prefix + path)
    assert page.ok
    assert page.headers["Content-Encoding"] == "gzip"
    assert page.headers["Cache-Control"] == "no-store"
    assert cdn in page.headers["Content-Security-Policy"]
    assets = re.findall(r"<(?:script|link)\b[^>]*?(?:src|href)=[\"']([^\"']+)", page.text)
    assert len(assets) > 10
    assert [asset for asset in assets if not asset.startswith(f"{cdn}/a/")] == []
    links = re.findall(r"<a\b[^>]*?href=\"(/[^\"]*)", page.text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("/airflow-demo/")] == []
    # Bytes, types, lifetimes, compression and the right to be used by other origins.
    build("verify", cdn)


def test_until_it_is_interrupted(dist: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Its page comes through nginx, its assets from the CDN's port; Ctrl-C stops everything, exit code 0."""
    program("nginx")
    with running(DEMO, tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the demo to be up", lambda: READY in demo.output, 400, demo)
        seen = set(demo.descendants())
        assert len(seen) > 2
        look_at(demo.output)
        demo.process.send_signal(signal.SIGINT)
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 90)
        assert demo.process.returncode == 0, demo.output
        assert demo.output.endswith("\nstopped\n")
        assert living(seen) == []
