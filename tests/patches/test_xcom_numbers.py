"""XComs that are whole numbers, where XComs are pickled."""

from __future__ import annotations

from airflow_process import PatchedAirflow

_CODE = """
from airflow import models, settings
from airflow.models.xcom import XCom
from airflow.utils.db import create_session
from airflow.utils.timezone import datetime
day = datetime(2026, 1, 1)
values = {"big": 4300000001, "negative": -1, "flag": True, "text": "1", "list": [1], "none": None}
for key, value in values.items():
    XCom.set(key, value, day, "t", "d")
with create_session() as session:
    stored = dict(session.execute("select key, value from xcom").fetchall())
    models = {one.key: one.value for one in session.query(XCom)}
assert models == values, models
assert {key: XCom.get_one(day, key, "t", "d") for key in values} == values
assert {one.key: one.value for one in XCom.get_many(day, dag_ids="d")} == values
assert (stored["big"], stored["negative"]) == (b"4300000001", b"-1"), stored
assert all(stored[key].endswith(b".") for key in ("flag", "text", "list", "none")), stored
"""


def test_numbers_are_json(airflow_db: PatchedAirflow) -> None:
    """A number is stored as JSON, and read in every way that there is; whatever else is pickled as before."""
    airflow_db.python(_CODE, AIRFLOW__CORE__ENABLE_XCOM_PICKLING="True")
