"""The log page and the download, of a webserver of the patched tree, over its routes."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from airflow_process import PatchedAirflow
from harness.processes import free_port
from harness.s3 import S3Server
from www_client import RUN_DAG, ask, write_dag

pytestmark = pytest.mark.slow
TASK = "dag_id=pair&task_id=first&execution_date=2026-01-01T00:00:00%2B00:00"
LOG = "pair/first/2026-01-01T00:00:00+00:00/1.log"
PAGE = f"/admin/airflow/log_page?{TASK}&try_number=1"
DOWNLOAD = f"/admin/airflow/download_log?{TASK}"
# A run whose tasks have not begun.
_RUN_BUT_NO_LOGS = """
from airflow.utils.state import State
from airflow.utils.timezone import datetime
dag = models.DagBag().get_dag("pair")
dag.sync_to_db()
dag.create_dagrun(run_id="one", execution_date=datetime(2026, 1, 1), state=State.RUNNING)
"""
# Neither run counts its try, as a worker does. Then what a request is answered.
_GET = """
with create_session() as session:
    session.query(models.TaskInstance).update({"_try_number": 1})
client = web().test_client()
def get(path):
    page = client.get(path)
    return [page.status_code, dict(page.headers), page.get_data(as_text=True)]
"""


def test_the_log_page_reads_by_ranges(airflow_db: PatchedAirflow) -> None:
    """Its scripts ask for the end of each try's log, for what is before it, and for the whole log as a file."""
    write_dag(airflow_db)
    told = "".join(f"line {number}\n" for number in range(50_000))
    path = airflow_db.home / "logs" / LOG
    path.parent.mkdir(parents=True)
    path.write_text(f"{told}grün\n", encoding="utf-8")
    code = f"""
last = get({PAGE!r})
earlier = get({PAGE!r} + "&place=file&before=%d" % json.loads(last[2])["start"])
answer([get("/admin/airflow/log?{TASK}"), last, earlier, get({DOWNLOAD!r}), get({DOWNLOAD!r} + "&try_number=1"),
        get("/admin/airflow/get_logs_with_metadata?{TASK}&metadata=null&format=file&try_number=1"), second()])
"""
    # A second try, whose last line has no end.
    code = f"""
def second():
    with create_session() as session:
        session.query(models.TaskInstance).update({{"_try_number": 2}})
    with open({str(path.with_name("2.log"))!r}, "w") as file:
        file.write("begun\\nkil")
    return get({DOWNLOAD!r})
{code}"""
    page, last, earlier, all_tries, one, older, two = ask(airflow_db, f"{RUN_DAG}\n{_GET}\n{code}")
    # The task itself has added some lines.
    whole = path.read_text(encoding="utf-8")
    assert whole.startswith(told)
    assert (page[0], page[2].count("data-page=")) == (200, 1)
    assert "log_page?" in page[2]
    assert "logs.js" in page[2]
    shown, before = json.loads(last[2]), json.loads(earlier[2])
    assert 64 * 1024 < len(shown["text"]) <= 128 * 1024
    assert before["end"] == shown["start"]
    assert whole.endswith(before["text"] + shown["text"])
    for status, headers, text in (one, older):
        assert (status, text) == (200, whole)
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert int(headers["Content-Length"]) == len(text.encode())
        name = quote("pair-first-2026-01-01T00:00:00+00:00-1.log", safe="")
        assert headers["Content-Disposition"].startswith('attachment; filename="pair-first-2026-01-01T00_00_00+00_00')
        assert headers["Content-Disposition"].endswith(f"filename*=UTF-8''{name}")
    assert all_tries[2] == one[2]
    assert two[2] == f"*** Try 1\n{whole}\n*** Try 2\nbegun\nkil"
    assert int(two[1]["Content-Length"]) == len(two[2].encode())


def test_what_is_asked_for_wrongly(airflow_db: PatchedAirflow) -> None:
    """It is refused with a word on it, or is not there; nothing outside of the log folder is read."""
    write_dag(airflow_db)
    (airflow_db.home / "dags" / "up.py").write_text(
        "from airflow import DAG\nfrom airflow.operators.bash_operator import BashOperator\n"
        "from airflow.utils.timezone import datetime\n"
        "dag = DAG('..', start_date=datetime(2026, 1, 1))\n"
        "BashOperator(task_id='..', bash_command='true', dag=dag)\n"
    )
    (airflow_db.home / "secret").write_text("secret")
    (airflow_db.home / "logs" / "pair" / "second" / "2026-01-01T00:00:00+00:00").mkdir(parents=True)
    (airflow_db.home / "logs" / LOG.replace("first", "second")).symlink_to(airflow_db.home / "secret")
    up = "dag_id=..&task_id=..&execution_date=2026-01-01T00:00:00%2B00:00"
    queries = {
        "": 400,
        "dag_id=pair&task_id=first&execution_date=never": 400,
        "dag_id=pair&task_id=first&execution_date=2026-01-01T00:00:00%2B00:00": 400,
        f"{TASK}&try_number=0": 400,
        f"{TASK}&try_number=-1": 400,
        f"{TASK}&try_number=one": 400,
        f"{TASK}&try_number=%D9%A1": 400,
        f"{TASK}&try_number={'9' * 30}": 400,
        f"{TASK}&try_number=1&after=-1": 400,
        f"{TASK}&try_number=1&after=x": 400,
        f"{TASK}&try_number=1&before=1.5": 400,
        f"{TASK}&try_number=1&quiet=x": 400,
        "dag_id=..%2F..&task_id=first&execution_date=2026-01-01&try_number=1": 404,
        "dag_id=pair&task_id=..%2Ffirst&execution_date=2026-01-01&try_number=1": 404,
        "dag_id=pair%00&task_id=first&execution_date=2026-01-01&try_number=1": 404,
        f"{up}&try_number=1": 400,
    }
    links = TASK.replace("first", "second")
    code = f"""
with create_session() as session:
    day = datetime(2026, 1, 1)
    up = models.TaskInstance(models.DagBag().get_dag("..").get_task(".."), day)
    session.merge(up)
    session.query(models.TaskInstance).update({{"_try_number": 1}})
found = {{query: get("/admin/airflow/log_page?" + query) for query in {list(queries)!r}}}
answer([found, get("/admin/airflow/download_log?{up}&try_number=1"),
        get("/admin/airflow/log_page?{links}&try_number=1"), get("/admin/airflow/download_log?{links}")])
"""
    found, download, linked, linked_download = ask(airflow_db, f"{_RUN_BUT_NO_LOGS}\n{_GET}\n{code}")
    assert {query: answer[0] for query, answer in found.items()} == queries
    assert all(answer[2] and "Traceback" not in answer[2] for answer in found.values())
    assert (download[0], "no plain path" in download[2]) == (400, True)
    shown = json.loads(linked[2])
    assert (linked[0], shown["found"], shown["text"]) == (200, False, "")
    assert linked_download[0] in (404, 503)
    assert "secret" not in linked_download[2]


def test_a_page_that_follows(airflow_db: PatchedAirflow) -> None:
    """The log ends when the try has ended, some time ago, and not because there is nothing more just now."""
    write_dag(airflow_db)
    path = airflow_db.home / "logs" / LOG
    path.parent.mkdir(parents=True)
    path.write_bytes("grün".encode()[:3])
    code = f"""
import pathlib
from datetime import timedelta
from airflow.utils import timezone
path = pathlib.Path({str(path)!r})
def look(state, seconds, **values):
    with create_session() as session:
        ended = timezone.utcnow() - timedelta(seconds=seconds)
        session.query(models.TaskInstance).update(
            {{"state": state, "end_date": None if state == "running" else ended, "start_date": ended}})
    query = "".join("&%s=%s" % pair for pair in values.items())
    found = json.loads(get({PAGE!r} + query)[2])
    return [found["text"], found["over"], found["ended"], found["cursor"]]
looks = [look("running", 0)]
def again(state, seconds, **more):
    looks.append(look(state, seconds, **{{**looks[-1][3], **more}}))
again("running", 0)
path.write_bytes("grün\\nzw".encode())
again("running", 9999)
again("success", 1)
again("success", 1, quiet=89)
path.write_bytes("grün\\nzwei\\n".encode() + b"\\xe2\\x82")
again("success", 1, quiet=90)
again("success", 1, quiet=90)
again("success", 9999)
path.unlink()
nowhere = json.loads(get({PAGE!r})[2])
answer([looks, nowhere])
"""
    looks, nowhere = ask(airflow_db, f"{_RUN_BUT_NO_LOGS}\n{_GET}\n{code}")
    assert [look[:3] for look in looks] == [
        ["gr", False, False],
        ["", False, False],
        ["ün\nzw", False, False],
        ["", False, True],
        ["", False, True],
        ["ei\n�", True, True],
        ["", True, True],
        ["", True, True],
    ]
    assert nowhere["found"] is False
    assert nowhere["told"][0] == f"file {path} of this machine: there is no such file"
    assert nowhere["told"][1] == "the worker's log server: no worker has started this task"


# How many megabytes a webserver's process grows while it answers.
_GROWN_BY = """
import re
def grown_by(call):
    open("/proc/self/clear_refs", "w").write("5")
    def megabytes(which):
        return int(re.search(which + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
    before = megabytes("VmRSS")
    return [call(), megabytes("VmHWM") - before]
def length(path):
    with client.get(path) as answer:
        return [sum(map(len, answer.iter_encoded())), answer.headers["Content-Length"]]
"""


def test_logs_on_s3(airflow_db: PatchedAirflow, s3: S3Server) -> None:
    """The page and the download read the store; `read` of the handler does as upstream's callers expect.

    A line of 50 MB is cut where a page ends, downloaded whole, and at no time in memory.
    """
    write_dag(airflow_db)
    bucket = s3.bucket()
    old = "".join(f"line {number}\n" for number in range(200_000)).encode()
    s3.client().put_object(Bucket=bucket, Key=f"logs/{LOG}", Body=old)
    s3.client().put_object(Bucket=bucket, Key=f"logs/{LOG}.parts/{len(old):020d}", Body="grün\nund".encode())
    s3.client().put_object(Bucket=bucket, Key=f"logs/{LOG}".replace("1.log", "2.log"), Body=b"x" * 50_000_000)
    whole = old.decode() + "grün\nund"
    of_second = PAGE.replace("try_number=1", "try_number=2")
    code = f"""
{_GROWN_BY}
from airflow.configuration import conf
with create_session() as session:
    session.query(models.TaskInstance).update({{"state": "success", "end_date": datetime(2026, 1, 1)}})
ti = models.TaskInstance(models.DagBag().get_dag("pair").get_task("first"), datetime(2026, 1, 1))
ti.refresh_from_db()
last, download = get({PAGE!r}), get({DOWNLOAD!r})
name = conf.get("core", "task_log_reader")
handler = next(one for one in logging.getLogger("airflow.task").handlers if one.name == name)
parts, metadata = [], {{}}
while not metadata.get("end_of_log"):
    [log], [metadata] = handler.read(ti, 1, metadata)
    parts.append(log)
    assert len(parts) < 99
ti.state = "running"
[goes_on] = handler.read(ti, 1, {{}})[1]
answer([goes_on["end_of_log"], last, download, handler.read(ti, 1), handler.read(ti), parts, metadata,
        handler.read(ti, 0), handler.read(ti, 3), grown_by(lambda: get({of_second!r})),
        grown_by(lambda: length({DOWNLOAD!r} + "&try_number=2"))])
"""
    settings = {
        "AIRFLOW__CORE__REMOTE_LOGGING": "True",
        "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": f"s3://{bucket}/logs",
        "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": s3.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        **s3.keys("reader"),
    }
    code = f"{_RUN_BUT_NO_LOGS}\n{_GET}\n{code}"
    over, *answers = ask(airflow_db, code, **settings)
    assert not over
    last, download, once, all_tries, parts, metadata, zero, three, line, lines = answers
    shown = json.loads(last[2])
    assert (shown["cursor"]["place"], shown["over"], shown["trouble"]) == ("s3", True, "")
    assert shown["where"] == f"s3://{bucket}/logs/{LOG}"
    assert whole.endswith(shown["text"])
    assert len(shown["text"]) > 64 * 1024
    assert (download[0], download[2] == whole) == (200, True)
    assert once == [[whole], [{"end_of_log": True}]] == all_tries
    assert "".join(parts) == whole
    assert all(part.endswith("\n") for part in parts[:-1])
    assert len(parts) > 2
    assert metadata == {"offset": len(whole.encode()), "quiet_since": 0, "end_of_log": True}
    assert zero[0] == ["Error fetching the logs. Try number 0 is invalid."]
    cut = json.loads(line[0][2])
    assert (cut["within_line"], cut["text"] == "x" * len(cut["text"]), cut["end"]) == (True, True, 50_000_000)
    assert lines[0] == [50_000_000, "50000000"]
    assert line[1] < 10, "megabytes, for a page"
    assert lines[1] < 25, "megabytes, for the download"
    assert three[0][0].startswith("*** The log is nowhere to be found. It was looked for in:\n*** s3://")
    away = {**settings, "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    over, last, download, once, *_ = ask(airflow_db, code.replace("dag.create_dagrun(", "dict("), **away)
    assert not over, "an error is no end, while the task runs"
    assert (last[0], json.loads(last[2])["found"], json.loads(last[2])["over"]) == (200, False, False)
    assert "Could not connect to the endpoint" in json.loads(last[2])["trouble"]
    assert (download[0], "Could not connect" in download[2]) == (503, True)
    assert "Could not connect" in once[0][0]
