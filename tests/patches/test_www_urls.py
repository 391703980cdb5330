"""URLs that the pages and views make, below a prefix."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from airflow_process import PatchedAirflow
from www_client import RUN_DAG, ask, write_dag

_PREFIX = "/team/one"
# The application as gunicorn gets it: the prefix comes from base_url.
_SETTINGS = {"AIRFLOW__WEBSERVER__BASE_URL": f"http://localhost{_PREFIX}"}
_BELOW_A_PREFIX = """
from werkzeug.test import Client
from airflow.www.app import cached_app
def browser():
    client = Client(cached_app({"WTF_CSRF_ENABLED": False, "PROPAGATE_EXCEPTIONS": True}))
    logging.disable(logging.CRITICAL)
    return client
"""


def test_redirects_stay_below_the_prefix(airflow_db: PatchedAirflow) -> None:
    """Who asks for what is not there is sent to a page of this webserver, by its path alone."""
    write_dag(airflow_db)
    places = ask(
        airflow_db,
        _BELOW_A_PREFIX
        + f"""
client = browser()
run = "execution_date=2026-01-01T00%3A00%3A00%2B00%3A00&dag_id="
asked = ["task?task_id=none&" + run + "pair", "xcom?task_id=none&" + run + "pair",
         "tree?" + run + "none", "graph?" + run + "none", "duration?" + run + "none"]
answers = [client.get("{_PREFIX}/admin/airflow/" + each) for each in asked]
answers.append(client.post("{_PREFIX}/admin/airflow/varimport"))
answer([[each.status_code, each.headers.get("Location")] for each in answers])
""",
        **_SETTINGS,
    )
    assert places == [[302, f"{_PREFIX}/admin/"]] * 5 + [[302, f"{_PREFIX}/admin/variable/"]]


def test_chart_of_a_lost_type_leads_to_the_charts(airflow_db: PatchedAirflow) -> None:
    """A chart whose type is gone sends the browser to the list, with a message."""
    [status, place], shown = ask(
        airflow_db,
        _BELOW_A_PREFIX
        + f"""
with create_session() as session:
    chart = models.Chart(label="old", chart_type="heatmap", conn_id="airflow_db")
    session.add(chart)
    session.flush()
    number = chart.id
client = browser()
gone = client.get("{_PREFIX}/admin/airflow/chart?chart_id=%d" % number)
shown = client.get(gone.headers["Location"]).get_data(as_text=True)
answer([[gone.status_code, gone.headers["Location"]], "license was incompatible" in shown])
""",
        **_SETTINGS,
    )
    assert (status, place) == (302, f"{_PREFIX}/admin/chart/")
    assert shown


def test_login_leads_to_the_first_page(airflow_db: PatchedAirflow) -> None:
    """Who is logged in already, and asks for the log-in page, is shown the DAGs."""
    fakes = airflow_db.home / "fakes"
    fakes.mkdir()
    (fakes / "kerberos.py").write_text("def checkPassword(*_): return True\n")
    places = ask(
        airflow_db,
        _BELOW_A_PREFIX
        + f"""
with create_session() as session:
    session.add(models.User(username="ann"))
client = browser()
page = "{_PREFIX}/admin/airflow/login"
answers = [client.post(page, data=dict(username="ann", password="x")), client.get(page)]
answer([[each.status_code, each.headers.get("Location")] for each in answers])
""",
        **_SETTINGS,
        AIRFLOW__WEBSERVER__AUTHENTICATE="True",
        AIRFLOW__WEBSERVER__AUTH_BACKEND="airflow.contrib.auth.backends.kerberos_auth",
        AIRFLOW__KERBEROS__DEFAULT_REALM="REALM",
        PYTHONPATH=f"{airflow_db.tree}:{fakes}",
    )
    assert places == [[302, f"{_PREFIX}/admin/"]] * 2


_LINKS_OUT = {
    "airflow.apache.org",  # the menu: website and documentation
    "github.com",
    "pypi.python.org",  # the version page: the release it was made from
    "cryptography.io",  # the warning about connections without Fernet
}


def test_pages_name_no_host(airflow_db: PatchedAirflow) -> None:
    """No link, form, script, style or picture leaves the prefix or names a host; `DAGs` is the first page."""
    write_dag(airflow_db)
    pages = ask(
        airflow_db,
        RUN_DAG
        + _BELOW_A_PREFIX
        + f"""
client = browser()
run = "?dag_id=pair&task_id=first&execution_date=2026-01-01T00%3A00%3A00%2B00%3A00"
wanted = ["/admin/", "/admin/versionview/", "/admin/connection/", "/admin/taskinstance/", "/admin/chart/new/",
          "/admin/variable/", "/admin/queryview/"] + ["/admin/airflow/" + name + run for name in
          ("graph", "tree", "duration", "tries", "landing_times", "gantt", "dag_details", "code", "rendered", "log",
           "task", "xcom", "trigger")]
answer({{page: client.get("{_PREFIX}" + page).get_data(as_text=True) for page in wanted}})
""",
        **_SETTINGS,
    )
    attribute = re.compile(r"""<(\w+)[^>]*?\s(href|src|action|data-action|value)=["']?([^"'\s>]*)""")
    found = 0
    for page, text in pages.items():
        for tag, name, address in attribute.findall(text):
            host, path = urlsplit(address).hostname, urlsplit(address).path
            assert host is None or (tag == "a" and host in _LINKS_OUT), (page, tag, address)
            if name != "value" and host is None and path.startswith("/"):
                found += 1
                assert path.startswith(f"{_PREFIX}/"), (page, tag, address)
        assert f'href="{_PREFIX}/admin/">DAGs</a>' in re.sub(r"\s+", " ", text), page
        assert "origin.value = window.location;" not in text
    assert found > 500
    origins = re.findall(r"origin=([^\"&]*)", pages["/admin/"])
    assert origins
    assert set(origins) <= {f"{_PREFIX}/admin/".replace("/", slash) for slash in ("/", "%2F")}
