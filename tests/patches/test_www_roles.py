"""What each role gets of the real webserver, by requests."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest
from harness.role_server import Answer, RoleServer
from harness.route_sweep import sweep


def test_each_route_answers_by_role(roles: RoleServer) -> None:
    """Every method of every route, for each role: let in, 403 or 401, as the table says; and nothing changes.

    No form carries its token, and no GET changes anything: so the database is the same after it all.
    """
    # Who comes for the first time gets a row among the users.
    assert roles.send("GET", "/admin/", "admin").status == 200
    before = roles.contents()
    wrong = sweep(roles.calls, roles.send)
    assert wrong == [], "\n".join(wrong)
    after = roles.contents()
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.parametrize("role", ["user", "viewer"])
def test_the_menu_shows_what_may_be_opened(roles: RoleServer, role: str) -> None:
    """Admin, Data Profiling and a plugin's are there for an admin; a plugin's for users if it says so."""
    for_admins = ("Data Profiling", "/admin/pool/", "/admin/queryview/", "Teams", "Elsewhere")
    for_all = ("Browse", "/admin/taskinstance/", "/admin/slamiss/", "Version")
    menu, full = (_menu(roles.send("GET", "/admin/", one)) for one in (role, "admin"))
    assert [word for word in (*for_admins, *for_all) if word not in full] == []
    assert [word for word in for_admins if word in menu] == []
    assert [word for word in for_all if word not in menu] == []
    assert ("/admin/member/" in menu) == (role == "user")


def _menu(answer: Answer) -> str:
    assert answer.status == 200
    return answer.text[answer.text.index("<nav") : answer.text.index("</nav>")]


@pytest.mark.parametrize("role", ["admin", "user", "viewer"])
def test_no_page_links_to_a_refusal(roles: RoleServer, role: str) -> None:
    """Each link of the pages that someone may open leads somewhere."""
    of = "dag_id=pair&execution_date=2026-01-01T00:00:00%2B00:00"
    pages = ("/admin/", f"/admin/airflow/graph?{of}", f"/admin/airflow/task?{of}&task_id=first",
             "/admin/taskinstance/", "/admin/log/", "/admin/dagrun/", "/admin/slamiss/", "/admin/basejob/")  # fmt: skip
    links: dict[str, str] = {}
    forms: set[str] = set()
    texts: list[str] = []
    for page in pages:
        answer = roles.send("GET", page, role)
        assert answer.status == 200, page
        texts.append(answer.text)
        found = re.findall(r'<a [^>]*?href="(/admin[^"?]*)([^"]*)"', answer.text)
        links |= {path: path + query.replace("&amp;", "&") for path, query in found}
        forms |= set(re.findall(r'<form [^>]*?action="(/admin[^"?]*)[^>]*?method="POST"', answer.text, re.I))
        forms |= set(re.findall(r'<form [^>]*?method="POST"[^>]*?action="(/admin[^"?]*)', answer.text, re.I))
        forms |= set(re.findall(r'data-action="(/admin[^"?]*)', answer.text))
        assert ("airflow/xcom" in answer.text) == (role == "admin" and "airflow/task" in page)
    assert len(links) > 15
    # Those that send a form are answered with 405 to a GET, if they are there at all.
    statuses = {link: roles.send("GET", link, role).status for link in links.values()}
    assert {link: status for link, status in statuses.items() if status not in (200, 302, 405)} == {}
    posts = {link for link, status in statuses.items() if status == 405}
    assert bool(posts) == bool(forms) == (role != "viewer")
    # Without a form's token, which is asked for after the role.
    refused = {path for path in posts | forms if roles.send("POST", path, role).status != 400}
    assert refused == set()
    menus = ("btn_clear", "btn_dagrun_clear", "action_form", "/admin/dagrun/new/")
    assert [word for word in menus if (word in "".join(texts)) != (role != "viewer")] == []


def test_a_refusal_says_what_and_who(roles: RoleServer) -> None:
    """A page for a browser, JSON for a page's script and for the API; the log has one line."""
    page = roles.send("GET", "/admin/pool/?x=<script>", "user")
    assert page.headers["content-type"].startswith("text/html")
    assert "GET /admin/pool/ is for the role admin." in page.text
    assert "with the role user" in page.text
    assert page.headers["cache-control"] == "no-store"
    for path, headers in (
        ("/admin/pool/ajax/update/", {"X-Requested-With": "XMLHttpRequest"}),
        ("/admin/airflow/chart_data", {"Accept": "application/json,*/*"}),
        ("/api/experimental/pools", {}),
    ):
        method = "POST" if "ajax" in path else "GET"
        answer = roles.send(method, path, "user", headers)
        assert answer.status == 403
        assert "is for the role admin" in json.loads(answer.text)["error"]
    plain = re.sub(r"\x1b\[\d+m", "", roles.log.read_text())
    assert "Refused GET pool.index_view: it takes admin, and " in plain


def test_the_webserver_runs_no_task(roles: RoleServer) -> None:
    """The button Run is on no page, and nothing answers to it, for an admin neither."""
    assert roles.send("POST", "/admin/airflow/run", "admin").status == 404
    assert "btn_run" not in roles.send("GET", "/admin/airflow/graph?dag_id=pair", "admin").text


def test_the_audit_log_tells_a_user_no_secret(roles: RoleServer) -> None:
    """A variable's value that a command line has left there: not in the list, not by a filter, not exported."""
    with closing(sqlite3.connect(roles.database, timeout=30)) as database:
        database.execute(
            "INSERT INTO log (dttm, event, owner, extra) VALUES ('2099-01-01 00:00:00.000000', 'cli_variables',"
            """ 'op', '{"full_command": "[''airflow'', ''variables'', ''--set'', ''key'', ''s3cret-value'']"}')"""
        )
        database.commit()
    found = {}
    for role in ("admin", "user", "viewer"):
        whole, matching, other, exported = (
            roles.send("GET", f"/admin/log/{query}", role).text
            for query in ("", "?flt0_extra_contains=s3cret", "?flt0_extra_contains=nothing", "export/csv/")
        )
        assert "cli_variables" in whole
        assert "cli_variables" in matching
        found[role] = ["s3cret-value" in whole, "cli_variables" in other, "s3cret-value" in exported]
    assert found == {
        "admin": [True, False, False],
        "user": [False, True, False],
        "viewer": [False, True, False],
    }
