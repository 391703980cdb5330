"""The patched tree, run in subprocesses."""

from airflow_process import PatchedAirflow, airflow, airflow_db, database_template

__all__ = ["PatchedAirflow", "airflow", "airflow_db", "database_template"]
