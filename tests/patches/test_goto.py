"""The way from a task to its command: buttons, and the route `goto_<platform>`."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.conversation import Conversation, conversation
from harness.goto_site import CLIENT, DAY, PREPARE, asking, dialogs, home_with_dags, path

DERIVED = "\u0434\u0435\u0440\u0437\u043a\u0438\u0439"
PAGE = "https://api.qubole.com/v2/analyze?command_id=4300000001"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path, database_template: Path
) -> Iterator[Conversation]:
    """The application, with connections of each kind."""
    folder = tmp_path_factory.mktemp("goto") / "home"
    airflow = home_with_dags(folder, airflow_tree, airflow_interpreter, database_template)
    connections = {
        "AIRFLOW_CONN_QUBOLE_DEFAULT": "qubole://:secret@/",
        "AIRFLOW_CONN_OWN": "qubole://:secret@https%3A%2F%2Fus.qubole.com%2Fapi%2F",
        "AIRFLOW_CONN_ODD": "qubole://:secret@javascript%3Aalert%281%29%2F%2Fapi",
        "AIRFLOW_CONN_BRICKS": "databricks://token:secret@127.0.0.1%3A9",
    }
    with conversation(airflow, **connections) as process:
        process.ask(PREPARE)
        yield process


def pages(site: Conversation, *paths: str) -> list[str]:
    answers = site.ask(f"{CLIENT}told([get(path)['text'] for path in {paths!r}])")
    assert isinstance(answers, list)
    return answers


def test_button_and_route(site: Conversation) -> None:
    """The task's pages have the button, which opens the command's page in a new tab; other tasks have none."""
    where = f"dag_id=da.ta&execution_date={DAY.replace('+', '%2B')}&task_id="
    views = ("task", "rendered", "log")
    for page in pages(site, *(f"/admin/airflow/{view}?{where}plain" for view in views)):
        [link] = re.findall(r"<li><a ([^>]*)>\s*<span[^>]*></span>\s*Goto QDS</a>", page)
        assert 'target="_blank" rel="noopener"' in link
        address = unescape(re.findall(r'href="([^"]*)"', link)[0])
        answer = asking(site, b"4300000001", address)
        assert (answer["status"], answer["location"]) == (302, PAGE)
    for page in pages(site, *(f"/admin/airflow/{view}?{where}shell" for view in views)):
        assert "goto_" not in page


def test_dialogs(site: Conversation) -> None:
    """Graph and tree say by the operators' classes which tasks have the button; whose class misleads is listed."""
    graph, tree, gantt, other = pages(
        site, "/admin/airflow/graph?dag_id=da.ta", "/admin/airflow/tree?dag_id=da.ta",
        f"/admin/airflow/gantt?dag_id=da.ta&execution_date={DAY.replace('+', '%2B')}",
        "/admin/airflow/graph?dag_id=%D0%BF%D0%BB%D0%BE%D1%82%D1%8C",
    )  # fmt: skip
    assert dialogs(other) is None
    assert dialogs(graph) == dialogs(tree) == {
        "buttons": {
            "qds": ["Goto QDS", "/admin/airflow/goto_qds"],
            "databricks": ["Goto Databricks", "/admin/airflow/goto_databricks"],
        },
        "classes": {
            "QuboleOperator": "qds", "Derived": "qds", "QuboleCheckOperator": "qds",
            "DatabricksRunNowOperator": "databricks", "DatabricksSubmitRunOperator": "databricks",
        },
        "tasks": {"alike": None},
    }  # fmt: skip
    listed = dialogs(gantt)["tasks"]
    assert (listed[DERIVED], listed["run"], listed.get("shell")) == ("qds", "databricks", None)


@pytest.mark.parametrize(
    ("task_id", "page"),
    [
        ("plain.two", "https://api.qubole.com/v2/analyze?command_id=7"),
        ("check", "https://api.qubole.com/v2/analyze?command_id=7"),
        (DERIVED, "https://us.qubole.com/v2/analyze?command_id=7"),
    ],
)
def test_connection_of_the_task(site: Conversation, task_id: str, page: str) -> None:
    """The address is that of the task's own connection."""
    answer = asking(site, b"7", path(task_id=task_id), task_id)
    assert (answer["status"], answer["location"]) == (302, page)


@pytest.mark.parametrize(
    "date",
    [DAY, "2026-01-01T00:00:00Z", "2026-01-01T00:00", "2026-01-01 00:00:00", "2026-01-01T01:00:00.000000+01:00",
     "2025-12-31T23:00:00-0100"],
)  # fmt: skip
def test_dates(site: Conversation, date: str) -> None:
    """An execution date may be of any zone; without one it is of the configured one."""
    assert asking(site, b"1", path(execution_date=date))["status"] == 302


class Evil:
    """Runs what a pickle may run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import builtins; builtins.unpickled = True",)


STORED = {
    "pickled": pickle.dumps(Evil()),
    "pickled number": pickle.dumps("7"),
    "text": b'"7"',
    "negative": b"-7",
    "zero": b"0",
    "huge": b"9" * 400,
    "longer than any": b"9" * 100_000,
    "beyond 64 bits": str(2**63).encode(),
    "fraction": b"7.5",
    "whole fraction": b"7.0",
    "infinite": b"Infinity",
    "list": b"[7]",
    "object": b'{"id": 7}',
    "true": b"true",
    "null": b"null",
    "sql": b"1;DROP",
    "url": b"https://evil.example/",
    "quoted url": b'"https://evil.example/"',
    "html": b"<script>alert(1)</script>",
    "two": b"7 8",
    "line": b"7\r\nLocation: https://evil.example/",
    "nothing": b"",
    "no text": b"\xff\xfe7",
    "deep": b"[" * 900,
    "other digits": "\u0667".encode(),
}


def test_stored_values_that_are_no_id(site: Conversation) -> None:
    """Nothing but a whole number is led to; a pickle is not run; the page says what is wrong, escaped."""
    for name, stored in STORED.items():
        answer = asking(site, stored, path())
        assert (answer["status"], answer["location"]) == (422, None), name
        assert "no id of a command" in answer["text"], name
        assert "<script>alert" not in answer["text"]
    assert site.ask("import builtins\ntold(hasattr(builtins, 'unpickled'))") is False


WRONG: dict[str, tuple[int, str]] = {
    path("elsewhere"): (404, "No such platform"),
    path("qubole"): (404, "No such platform"),
    path("databricks"): (404, "No command"),
    path(dag_id=None): (400, "dag_id"),
    path(task_id=""): (400, "task_id"),
    path(execution_date=None): (400, "execution_date"),
    path(dag_id="nothing"): (404, "No such DAG"),
    path(dag_id="da"): (404, "No such DAG"),
    path(dag_id="da.ta.plain"): (404, "No such DAG"),
    path(dag_id="../../etc"): (404, "No such DAG"),
    path(dag_id="a/b'\"<script>alert(1)</script>"): (404, "No such DAG"),
    path(dag_id="\u043d\u0438\u0449\u043e"): (404, "No such DAG"),
    path(dag_id="d" * 5000): (404, "No such DAG"),
    path(dag_id="da.ta\x00"): (400, "control characters"),
    path(task_id="nothing"): (404, "No such task"),
    path(task_id="' OR 1=1 --"): (404, "No such task"),
    path(task_id="plain/../run"): (404, "No such task"),
    path(task_id="shell"): (404, "No command"),
    path(task_id="alike"): (404, "No command"),
    path(task_id="run"): (404, "No command"),
    path(execution_date="2026-01-02T00:00:00+00:00"): (404, "No such run"),
    path(execution_date="0001-01-01T00:00:00+14:00"): (400, "no execution date"),
    path(execution_date="2026-01-01T00:00:00 00:00"): (400, "no execution date"),
    path(execution_date="2026-02-30T00:00:00Z"): (400, "no execution date"),
    path(execution_date="2026-01-01"): (400, "no execution date"),
    path(execution_date="now"): (400, "no execution date"),
    path(execution_date="<script>alert(1)</script>"): (400, "no execution date"),
    path(execution_date="\u0662\u0660\u0662\u0666-01-01T00:00:00Z"): (400, "no execution date"),
    path(task_id="plain.two"): (404, "No command yet"),
    path(task_id="lost"): (404, "No such connection"),
    path(task_id="chosen"): (422, "a template"),
    path(task_id="odd"): (422, "has no page"),
}


def test_what_leads_nowhere(site: Conversation) -> None:
    """Each has a page that says which it is, with its status, and is never a redirect."""
    asking(site, None, path(), "plain.two")
    for task_id in ("plain", "lost", "chosen", "odd"):
        asking(site, b"7", path(), task_id)
    answers = site.ask(f"{CLIENT}told([get(path) for path in {list(WRONG)!r}])")
    for (address, (status, text)), answer in zip(WRONG.items(), answers, strict=True):
        assert (answer["status"], answer["location"]) == (status, None), address
        assert text in unescape(answer["text"]), address
        assert "<script>alert" not in answer["text"]
        assert "secret" not in answer["text"]


def test_a_connection_that_has_moved(site: Conversation) -> None:
    """What has the command's number at the account that its connection leads to by now is nobody's to be led to.

    It is refused before a platform is asked for the page, and the operator's own link is empty.
    """
    accounts = ["api.qubole.com", "production", None, "us.qubole.com"]
    answers, links = site.ask(f"""{CLIENT}
import time
from airflow.contrib.operators.qubole_operator import QDSLink
from airflow.models import DagBag
from airflow_service.external_commands import table
from airflow_service.external_commands.rows import Row, TaskKey
task, date = DagBag().get_dag("da.ta").get_task({DERIVED!r}), datetime(2026, 1, 1)
def noted(task_id, account, platform="qubole", connection="own"):
    row = Row(-1, platform, connection, "7", TaskKey("da.ta", task_id, "2026-01-01T00:00:00.000000+00:00"), 1,
              time.time(), True, account=account)
    with settings.engine.begin() as database:
        database.execute(table.TABLE.delete())
        if platform:
            table.add(database, row)
table.create(settings.engine)
store({DERIVED!r}, b"7")
answers, links = [], []
for account in {accounts!r}:
    noted({DERIVED!r}, account)
    answers.append(get({path(task_id=DERIVED)!r}))
    links.append(QDSLink().get_link(task, date))
store("run", b"7", key="run_id")
noted("run", "https://elsewhere.example", "databricks", "bricks")
answers.append(get({path("databricks", task_id="run")!r}))
noted("", None, "")
told([answers, links])
""")
    page = "https://us.qubole.com/v2/analyze?command_id=7"
    assert [(each["status"], each["location"]) for each in answers] == [
        (409, None), (409, None), (302, page), (302, page), (409, None),
    ]  # fmt: skip
    assert links == ["", "", page, page]
    for answer, account, now in zip(
        [*answers[:2], answers[4]],
        ["api.qubole.com", "production", "https://elsewhere.example"],
        ["us.qubole.com", "us.qubole.com", "https://127.0.0.1:9"],
        strict=True,
    ):
        assert f"The command 7 was started at {account}." in unescape(answer["text"])
        assert f"leads to {now} by now" in unescape(answer["text"])


def test_another_platform(site: Conversation) -> None:
    """Databricks is asked for the page; while nobody answers, the page says so. Its XCom has its own key."""
    site.ask(f"{CLIENT}store('run', b'7', key='run_id')")
    answer = site.ask(f"{CLIENT}told(get({path('databricks', task_id='run')!r}))")
    assert (answer["status"], answer["location"]) == (502, None)
    assert "https://127.0.0.1:9/api/2.0/jobs/runs/get?run_id=7" in answer["text"]


def test_programs_get_json(site: Conversation) -> None:
    """Whoever does not ask for a page gets the reason as JSON."""
    answer = asking(site, b"[]", path(), accept="application/json")
    assert answer["status"] == 422
    assert '"error"' in answer["text"]


def test_address_is_escaped(site: Conversation) -> None:
    """A link of the page is one for this instance, whatever its ids are."""
    [page] = pages(site, f"/admin/airflow/task?dag_id=da.ta&task_id={DERIVED}&execution_date={DAY.replace('+', '%2B')}")
    [address] = re.findall(r'href="([^"]*goto_qds[^"]*)"', page)
    query = parse_qs(urlsplit(unescape(address)).query)
    assert query == {"dag_id": ["da.ta"], "task_id": [DERIVED], "execution_date": [DAY]}


def test_owners(site: Conversation) -> None:
    """Where users see the DAGs of their own alone, the route is no way around that."""
    code = f"""{CLIENT}
from airflow.www import views
from types import SimpleNamespace
from airflow_service.goto import view
from unittest import mock
def seen_by(name, superuser):
    user = SimpleNamespace(is_superuser=lambda: superuser, user=SimpleNamespace(username=name), is_authenticated=True,
                           ldap_groups=[])
    with mock.patch.object(views, "FILTER_BY_OWNER", True), mock.patch.object(view, "current_user", user):
        return get({path()!r})["status"]
store("plain", b"7")
told([seen_by("somebody", False), seen_by("another", False), seen_by("another", True)])
"""
    assert site.ask(code) == [302, 403, 302]


def test_the_operators_own_link(site: Conversation) -> None:
    """`QDSLink` leads where the button does, whatever the host is like, and nowhere without an id."""
    asked = [
        ("plain", b"4300000001"), (DERIVED, b"7"), ("plain", b'"1;DROP"'), ("plain", pickle.dumps(7)), ("plain", None),
        ("odd", b"7"), ("lost", b"7"), ("shell", b"7"),
    ]  # fmt: skip
    links = site.ask(f"""{CLIENT}
from airflow.contrib.operators.qubole_operator import QDSLink
from airflow.models import DagBag
dag, links = DagBag().get_dag("da.ta"), []
for task_id, stored in {asked!r}:
    store(task_id, stored)
    links.append(QDSLink().get_link(dag.get_task(task_id), datetime(2026, 1, 1)))
told(links)
""")
    assert links == [PAGE, "https://us.qubole.com/v2/analyze?command_id=7", *[""] * 6]
