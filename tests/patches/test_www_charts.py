"""Charts over SQL, with current NumPy, pandas and python-nvd3."""

from __future__ import annotations

import pytest
from airflow_process import PatchedAirflow
from www_client import ask

_CHART = """
app = web()
with create_session() as session:
    session.add(models.Connection(conn_id="meta", conn_type="sqlite", host=settings.engine.url.database))
    session.add(models.Chart(label="c", conn_id="meta", chart_type="{type}", sql_layout="{layout}", sql={sql!r},
                             x_is_date=True, show_datatable=True, default_params="{{}}"))
with create_session() as session:
    chart = session.query(models.Chart).filter_by(label="c").one().id
client = app.test_client()
page = client.get("/admin/airflow/chart?chart_id=%d" % chart)
csv = client.get("/admin/airflow/chart_data?chart_id=%d&csv=true" % chart)
data = client.get("/admin/airflow/chart_data?chart_id=%d" % chart)
answer([page.status_code, csv.get_data(as_text=True), data.get_json()])
"""
# Of Airflow's own modules.
_NO_FUTURE_WARNING = """
import warnings
warnings.filterwarnings("error", category=FutureWarning, module="airflow")
"""
_SERIES = "select 'a' as s, '2026-01-0' || n as x, n as y from (select 2 as n union select 1)"
_COLUMNS = "select '2026-01-0' || n as x, n as y, 2 * n as z from (select 2 as n union select 1)"


_EXAMPLE = """
from airflow.operators.bash_operator import BashOperator
from airflow.utils.db import initdb
from airflow.utils.timezone import datetime
day = datetime(2026, 1, 1)
dag = models.DAG("example_x", start_date=day)
with create_session() as session:
    session.query(models.Chart).delete()  # another series may have prepared the database
initdb()
with create_session() as session:
    connection = session.query(models.Connection).filter_by(conn_id="airflow_db").one()
    connection.conn_type, connection.host, connection.login = "sqlite", settings.engine.url.database, None
    for number, state in enumerate(["success", "failed", None]):
        instance = models.TaskInstance(BashOperator(task_id="t%d" % number, bash_command="true", dag=dag), day)
        instance.state = state
        session.add(instance)
    chart = session.query(models.Chart).one().id
answer(web().test_client().get("/admin/airflow/chart_data?chart_id=%d" % chart).get_json())
"""


def test_the_example_chart(airflow_db: PatchedAirflow) -> None:
    """The one chart that a new database holds is drawn, with task instances that have no state yet, too."""
    data = ask(airflow_db, _EXAMPLE)
    assert (data["state"], data["error"]) == ("SUCCESS", "")
    assert all(state in data["htmlcontent"] for state in ("success", "failed", "none"))


_OLD_EXAMPLE = """
from airflow.utils.db import initdb, upgradedb
NAMES = ("conn_id", "chart_type", "sql_layout", "sql", "x_is_date", "height", "default_params")
OLD = "SELECT state, COUNT(1) as number FROM task_instance WHERE dag_id LIKE 'example%' GROUP BY state"
def released(**changed):
    values = dict(label="Airflow task instance by type", conn_id="airflow_db", chart_type="bar", x_is_date=False,
                  sql=OLD)
    return models.Chart(**{**values, **changed})
def charts():
    with create_session() as session:
        return {chart.id: {name: getattr(chart, name) for name in NAMES} for chart in session.query(models.Chart)}
with create_session() as session:
    session.query(models.Chart).delete()
initdb()
[new] = charts().values()
with create_session() as session:
    session.query(models.Chart).delete()
    session.add_all([
        released(), released(label="Copied"), released(sql=OLD.replace("COUNT(1)", "MAX(try_number)")),
        released(chart_type="line"), released(sql=OLD.lower()), released(sql_layout="columns"),
    ])
before = charts()
upgradedb()
upgraded = charts()
upgradedb()
answer(dict(new=new, mended=[upgraded[each] for each in before if upgraded[each] != before[each]],
            first=before[min(before)] != upgraded[min(before)], again=charts() == upgraded))
"""


def test_the_example_chart_of_an_old_database(airflow_db: PatchedAirflow) -> None:
    """upgradedb makes of the released row what initdb stores now; charts that somebody changed stay."""
    data = ask(airflow_db, _OLD_EXAMPLE)
    assert data == {"new": data["new"], "mended": [data["new"]], "first": True, "again": True}
    assert data["new"]["sql_layout"] == "columns"


@pytest.mark.parametrize("chart_type", ["line", "stacked_area"])
@pytest.mark.parametrize(("layout", "sql", "names"), [("series", _SERIES, "a"), ("columns", _COLUMNS, "yz")])
def test_chart_data_of_both_layouts(
    airflow_db: PatchedAirflow, chart_type: str, layout: str, sql: str, names: str
) -> None:
    """Rows (series, x, y) and columns (x, y, y…) are both drawn, in the order of x."""
    code = _CHART.format(type=chart_type, layout=layout, sql=sql)
    status, csv, data = ask(airflow_db, _NO_FUTURE_WARNING + code)
    assert status == 200
    assert csv.count("2026-01-0") == 2
    assert (data["state"], data["error"]) == ("SUCCESS", "")
    drawn = data["htmlcontent"]
    assert all(f'"key": "{name}"' in drawn for name in names)
    assert drawn.index("1767225600000") < drawn.index("1767312000000")
    # A call that the bundled NVD3 1.1 does not have.
    assert "headerFormatter" not in drawn
