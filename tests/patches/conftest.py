"""The patched tree, run in subprocesses."""

from airflow_process import PatchedAirflow, airflow, airflow_db, database_template
from harness.role_server import roles

__all__ = ["PatchedAirflow", "airflow", "airflow_db", "database_template", "roles"]
