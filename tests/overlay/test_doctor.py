"""The doctor, in this process where the configuration is enough."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from airflow_service.doctor import assets, commands, database, network, settings
from airflow_service.doctor.findings import Check, Finding, Severity, examine
from airflow_service.sources import Configuration


def _findings(check: Check, home: Path, cfg: str = "", **environment: str) -> list[Finding]:
    (home / "airflow.cfg").write_text(cfg, encoding="utf-8")
    read = Configuration.read({"AIRFLOW_HOME": str(home), **environment})
    report = examine(read, [check])
    assert not report.crashed, report
    return list(report.findings)


@pytest.mark.parametrize(
    ("check", "cfg", "problem"),
    [
        (settings.executor, "[core]\nexecutor = CelryExecutor\n", "no executor that Airflow knows"),
        (
            settings.executor,
            "[core]\nexecutor = LocalExecutor\nsql_alchemy_conn = sqlite:////x.db\n",
            "SQLite serves one process|one process at a time",
        ),
        (settings.webserver, "[webserver]\nrbac = True\n", "rbac = True"),
        (settings.webserver, "[webserver]\nrbac = maybe\n", "neither True nor False"),
        (settings.webserver, "[webserver]\nbase_url = airflow.example.com\n", "does not begin with http"),
        (settings.webserver, "[webserver]\nbase_url = http://h/af/../b\n", "step"),
        (settings.webserver, "[webserver]\nbase_url = http://h/af/\n", "ends with a slash"),
        (settings.secrets, "[webserver]\nsecret_key = temporary_key\n", "old releases shipped"),
        (settings.secrets, "[webserver]\nsecret_key =\n", "makes up its own"),
        (settings.secrets, "[webserver]\nsecret_key = fifteen letters\n", "can be guessed"),
        (settings.secrets, "[core]\nfernet_key =\n", "stored as they are"),
        (settings.folders, "[core]\ndags_folder = /does/not/exist\n", "does not exist"),
        (settings.files, "nonsense\n", "cannot be read"),
        (settings.service_section, "[service]\ncdn_ulr = x\n", "did you mean cdn_url"),
        (
            database.database,
            "[core]\nsql_alchemy_conn = mssql://u:hunter2@h/d\n",
            "no database that is supported",
        ),
        (database.database, "[core]\nsql_alchemy_conn = mysql://u:hunter2%2@h/d\n", "written %%"),
        (database.database, "[core]\nsql_alchemy_conn = mysql://u:hunter2@x@h/d\n", "besides the one before"),
        (
            network.broker,
            "[core]\nexecutor=CeleryExecutor\n[celery]\nbroker_url = redis://:hunter2/b@h/0\n",
            "as it is",
        ),
        (network.broker, "[core]\nexecutor = CeleryExecutor\n[celery]\nbroker_url = sqs://\n", None),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, check: Check, cfg: str, problem: str | None) -> None:
    """Each finding has a cause and a next step, and no password."""
    findings = _findings(check, tmp_path, cfg)
    if problem is None:
        assert not findings
        return
    assert any(any(part in one.problem for part in problem.split("|")) for one in findings), findings
    for one in findings:
        assert one.cause
        assert one.next
        assert "hunter2" not in f"{one}"


def test_a_sound_configuration_has_no_findings(tmp_path: Path) -> None:
    """A fixed key, folders that are there, an executor that fits."""
    for folder in ("dags", "logs"):
        (tmp_path / folder).mkdir()
    cfg = (
        f"[core]\ndags_folder = {tmp_path}/dags\nbase_log_folder = {tmp_path}/logs\nfernet_key = x\n"
        "executor = LocalExecutor\nsql_alchemy_conn = postgresql://u:p@h/d\n"
        "[webserver]\nsecret_key = sixteen letters!\nbase_url = https://h/airflow\nrbac = False\n"
    )
    for check in (settings.files, settings.folders, settings.executor, settings.secrets, settings.webserver):
        assert _findings(check, tmp_path, cfg) == []


def test_a_file_that_all_can_change_is_an_error(tmp_path: Path) -> None:
    """Whoever changes airflow.cfg runs code as Airflow."""
    (tmp_path / "airflow.cfg").touch()
    (tmp_path / "airflow.cfg").chmod(0o666)
    [finding] = _findings(settings.files, tmp_path)
    assert finding.severity is Severity.ERROR
    assert finding.next == f"chmod o-w {tmp_path / 'airflow.cfg'}"


def test_migration_heads_are_read_not_imported(tmp_path: Path) -> None:
    """Branches, merges and the first migration."""
    for name, before in {"a": "None", "b": "'a'", "c": "'a'", "d": "('b', 'c')", "e": "'a'"}.items():
        (tmp_path / f"{name}.py").write_text(
            f"import nothing\nrevision = '{name}'\ndown_revision = {before}\n"
        )
    assert database.migration_heads(tmp_path) == (set("abcde"), {"d", "e"})


class _Origin(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, tuple[int, str, bytes]]] = {}

    def do_GET(self) -> None:
        status, kind, body = self.answers.get(self.path, (404, "text/html", b""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def origin() -> Iterator[str]:
    """A CDN of the test's own."""
    manifest = json.dumps({"format": 1}).encode()
    _Origin.answers = {
        "/good/manifests/1.10.15%2Bsvc.1.json": (200, "application/json", manifest),
        "/site/manifests/1.10.15%2Bsvc.1.json": (200, "text/html", b"<html>"),
        "/down/manifests/1.10.15%2Bsvc.1.json": (503, "text/plain", b""),
    }
    with HTTPServer(("127.0.0.1", 0), _Origin) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/good", None),
        ("/absent", "it answers 404"),
        ("/down", "it answers 503"),
        ("/site", "no JSON object, but text/html"),
    ],
)
def test_the_cdn_is_asked_for_the_manifest(
    tmp_path: Path, origin: str, path: str, problem: str | None
) -> None:
    """The manifest of exactly this version; `+` is encoded, as S3 needs it."""
    findings = _findings(assets.cdn, tmp_path, f"[service]\ncdn_url = {origin}{path}\n")
    assert [problem in one.problem for one in findings if problem] == ([] if problem is None else [True])
    assert bool(findings) == (problem is not None)


def test_a_cdn_that_does_not_answer_is_told(
    tmp_path: Path, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port, here: connection refused."""
    monkeypatch.setattr(assets, "TIMEOUT", 0.5)
    [finding] = _findings(assets.cdn, tmp_path, "[service]\ncdn_url = http://127.0.0.1:1/x\n")
    assert "no answer" in finding.problem


def test_one_setting_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    """Though several checks want it."""
    (tmp_path / "airflow.cfg").write_text("[core]\nexecutor = %x\n")
    read = Configuration.read({"AIRFLOW_HOME": str(tmp_path)})
    report = examine(read, [settings.executor, network.broker])
    assert len(report.findings) == 1
    assert not report.crashed


def test_a_key_that_guards_no_logs(tmp_path: Path) -> None:
    """With workers on other machines, a missing key is more than the end of some sessions."""
    cfg = "[core]\nexecutor = {}\nfernet_key = x\n[webserver]\nsecret_key =\n"
    [alone] = _findings(settings.secrets, tmp_path, cfg.format("LocalExecutor"))
    [shared] = _findings(settings.secrets, tmp_path, cfg.format("CeleryExecutor"))
    assert (alone.severity, shared.severity) == (Severity.WARNING, Severity.ERROR)
    assert "log servers do not start" in shared.cause
    assert "on all nodes" in shared.next


def test_a_time_out_that_airflow_cuts_short_is_told(tmp_path: Path) -> None:
    """The scheduler kills what works on a DAG file after its own time-out; a killed task asks twice in its time."""
    file, kill = _findings(commands.commands, tmp_path, "[service]\nexternal_command_timeout = 55\n")
    assert "dag_file_processor_timeout only 50 s" in file.problem
    assert "killed_task_cleanup_time only 60 s" in kill.problem
    (kill,) = _findings(commands.commands, tmp_path, "[service]\nexternal_command_timeout = 40\n")
    assert "asks twice" in kill.cause
    assert "more than 80" in kill.next
    assert _findings(commands.commands, tmp_path, "[service]\nexternal_command_timeout = 29\n") == []
