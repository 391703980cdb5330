"""Which file is whose log, and what a node is set up with."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_service import cli
from airflow_service.service_logs import discovery
from airflow_service.service_logs.discovery import discover
from airflow_service.service_logs.files import unrotated_name
from airflow_service.service_logs.logged import Log
from airflow_service.service_logs.names import Place
from airflow_service.service_logs.records import Record, stamp_of
from airflow_service.service_logs.sources import Source, defaults, read_sources
from airflow_service.sources import Configuration
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "written_as"),
    [
        ("access.log.1", "access.log"),
        ("access.log.12.gz", "access.log"),
        ("access.log-20261122", "access.log"),
        ("access.log-20261122.xz", "access.log"),
        ("access.log-20261122-1763800000", "access.log"),
        ("access.log-2026-11-22.bz2", "access.log"),
        ("rabbit@node-1.log.0", "rabbit@node-1.log"),
    ],
)
def test_names_that_rotation_gives(name: str, written_as: str) -> None:
    """Those of logrotate, with numbers and with dates, of Python and of RabbitMQ."""
    assert unrotated_name(name) == (written_as, True)


@pytest.mark.parametrize("name", ["access.log", "error-1.log", "2026-11-22.log", "access.log.gz", "x.log.old", ".1"])
def test_names_that_are_a_log_s_own(name: str) -> None:
    assert unrotated_name(name) == (name, False)


@pytest.mark.parametrize(
    ("line", "stamp"),
    [
        (b"[2026-11-22 10:15:01,123] {x.py:1} INFO - y", "20261122T101501"),
        (b"[2026-11-22 10:15:01 +0000] [7] [INFO] Starting gunicorn", "20261122T101501"),
        (b"2026-11-22T10:15:01.123Z node-1 webserver: ready", "20261122T101501"),
        (b"2026/11/22 10:15:01 [error] 7#7: *1 open() failed", "20261122T101501"),
        (b'127.0.0.1 - - [22/Nov/2026:10:15:01 +0000] "GET / HTTP/1.1" 200 1', "20261122T101501"),
        (b"[2026-11-22T10:15:01+0000] info     : Starting Monit", "20261122T101501"),
        (b"10:15:01 no day", ""),
        (b"22/Foo/2026:10:15:01", ""),
        (b"\xff\x00", ""),
    ],
)
def test_when_a_log_began(line: bytes, stamp: str) -> None:
    """By the forms of dates that services have."""
    assert stamp_of(line) == stamp


def test_each_file_once(tmp_path: Path) -> None:
    """A file that two patterns match is the first one's; folders are walked by pattern, never through a link."""
    for name in ("a.log", "a.log.1", "b.txt", "2026-11-22/team/x.py.log", "2026-11-22/x.log", "other/x.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "2026-11-23").symlink_to(tmp_path / "2026-11-22")
    problems: list[str] = []
    sources = [
        Source("first", (f"{tmp_path}/a*.log", f"{tmp_path}/none/*.log")),
        Source("second", (f"{tmp_path}/*.log",)),
        Source("days", (f"{tmp_path}/????-??-??/**/*.log",), by_day=True),
    ]
    found = {(file.source.service, file.name, file.found.rotated) for file in discover(sources, problems)}
    assert found == {
        ("first", "a.log", False),
        ("first", "a.log", True),
        ("days", "2026-11-22/x.log", False),
        ("days", "2026-11-22/team/x.py.log", False),
    }
    assert problems == []


def test_a_folder_that_becomes_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even between a look at it and its use: tasks may write there, and root may read what is behind it."""
    (tmp_path / "of-root").mkdir()
    (tmp_path / "of-root" / "a.log").write_text("secret\n")
    day = tmp_path / "logs" / "2026-11-22"
    day.mkdir(parents=True)
    (day / "a.log").write_text("line\n")
    source = Source("scheduler", (f"{tmp_path}/logs/????-??-??/*.log",), by_day=True)
    assert [file.name for file in discover([source], [])] == ["2026-11-22/a.log"]
    entries = discovery._entries

    def exchanged(folder: Path, problems: list[str]) -> list[os.DirEntry[str]]:
        found = entries(folder, problems)
        if folder == day.parent:
            day.rename(tmp_path / "was")
            day.symlink_to(tmp_path / "of-root")
        return found

    monkeypatch.setattr(discovery, "_entries", exchanged)
    assert discover([source], []) == []


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    """The services that a list of logs does not name stay where they are by default."""
    (tmp_path / "logs.toml").write_text(
        '[[log]]\nservice = "nginx"\npaths = ["/srv/nginx/*.log"]\n[[log]]\nservice = "monit"\npaths = []\n'
    )
    configuration = Configuration.read({"AIRFLOW_HOME": "/srv/airflow", "HOME": "/"})
    before = {source.service: source.paths for source in defaults(configuration)}
    after = {source.service: source.paths for source in read_sources(tmp_path / "logs.toml", configuration)}
    assert before["webserver"][:2] == ("/var/log/airflow/webserver*.log", "/srv/airflow/airflow-webserver.log")
    assert after.pop("nginx") == ("/srv/nginx/*.log",)
    assert before.items() >= after.items()
    assert before.keys() - after.keys() == {"nginx", "monit"}


@given(st.text(alphabet=st.characters(exclude_characters="/"), min_size=1, max_size=40))
def test_any_name_can_be_in_a_key(name: str) -> None:
    """DAG files may be called anything: what is not plain is written as hexadecimal, and two names stay two."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    base = Place("eu-1", "node-1").base(Record("scheduler", name, "0" * 64, 1, ""), "2026-11-22", 1)
    assert base.isascii()
    assert base.isprintable()
    assert base.startswith("_service/eu-1/node-1/scheduler/2026-11-22/")
    other = Place("eu-1", "node-1").base(Record("scheduler", name + "%", "0" * 64, 1, ""), "2026-11-22", 1)
    assert base != other


def test_a_full_disk_glues_no_lines(tmp_path: Path) -> None:
    """What it took of a line stays by itself, and the lines that it did not take whole are counted."""
    log = Log(tmp_path / "web.log", "node-1 web")
    log.write([b"first"])
    length = (tmp_path / "web.log").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * length + 30, hard))
    try:
        log.write([b"whole", b"cut", b"lost"])
        log.write([b"lost"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    log.write([b"after"])
    lines = (tmp_path / "web.log").read_text().splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "first", "whole", "", "3 lines were lost here: the disk took none", "after",
    ]  # fmt: skip


def test_a_log_is_its_owner_s_and_group_s(tmp_path: Path) -> None:
    """From its first byte on, whatever the umask; and no link leads it elsewhere."""
    run = (
        "import sys; from argparse import Namespace; from pathlib import Path\n"
        "from airflow_service.service_logs import logged\n"
        "sys.exit(logged.run(Namespace(command=['true'], file=Path(sys.argv[1]), service='web')))"
    )
    (tmp_path / "link.log").symlink_to(tmp_path / "other.log")
    for name, code in (("web.log", 0), ("link.log", 78)):
        command = [sys.executable, "-c", run, str(tmp_path / name)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "overlay")}
        assert subprocess.run(command, umask=0o022, env=environment, check=False).returncode == code
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_file()] == [0o640]


@pytest.mark.parametrize("what", ["logrotate", "cron"])
def test_the_example_is_rendered(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What nothing is removed by, and what is run each minute."""
    assert cli.main(["render", what, "--values", str(ROOT / "cluster" / "logs" / "values.toml")]) == 0
    text = capsys.readouterr().out
    if what == "logrotate":
        assert "\nrotate -1\n" in text
        assert text.count("{\n") == text.count("}\n") == 6
    else:
        lines = [line for line in text.splitlines() if line.startswith("* ")]
        assert [line.split()[5] for line in lines] == ["airflow", "root"]
        assert all("%" not in line for line in lines), "cron ends a command there"


def test_wrong_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All faults at once; nothing that cron, logrotate or a shell would read as more than a name."""
    (tmp_path / "values.toml").write_text(
        'home = "/srv/air flow"\nprogram = "x"\nuser = "a;b"\nservices = ["apache"]\nmax_size = "1"\nmore = 1\n'
    )
    assert cli.main(["render", "cron", "--values", str(tmp_path / "values.toml")]) == 78
    told = capsys.readouterr().err
    for key in ("home: '/srv/air flow' is not", "program: 'x'", "user: 'a;b'", "services: 'apache'", "max_size: '1'"):
        assert f"  {key}" in told
    assert "  more: there is no such key" in told
