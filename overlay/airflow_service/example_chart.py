"""The example chart of databases that the release made, whose layout does not fit its query."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, select, update

# As far as it matters here: not the model, which may know columns that come with a later migration.
_chart = Table(
    "chart",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("label", String(200)),
    Column("conn_id", String(250)),
    Column("chart_type", String(100)),
    Column("sql_layout", String(50)),
    Column("sql", Text),
)

# What initdb of the release stores, and what that of this distribution does.
_RELEASED = {
    "label": "Airflow task instance by type",
    "conn_id": "airflow_db",
    "chart_type": "bar",
    "sql_layout": "series",
    "sql": "SELECT state, COUNT(1) as number FROM task_instance WHERE dag_id LIKE 'example%' GROUP BY state",
}
_MENDED = {
    "sql_layout": "columns",
    "sql": "SELECT COALESCE(state, 'none') as state, COUNT(1) as number FROM task_instance "
    "WHERE dag_id LIKE 'example%' GROUP BY state",
}


def mend(engine: Any) -> None:
    """Let the released example read its two columns as they are; a chart that anybody changed stays."""
    with engine.begin() as connection:
        # Compared here: a database may take case and trailing spaces for nothing.
        charts = connection.execute(select(_chart).where(_chart.c.label == _RELEASED["label"])).mappings().all()
        for chart in charts:
            if {name: chart[name] for name in _RELEASED} == _RELEASED:
                connection.execute(update(_chart).where(_chart.c.id == chart["id"]).values(**_MENDED))
