"""Ordinary commands print no warning of a dependency."""

from __future__ import annotations

from textwrap import dedent

import pytest
from airflow_process import PatchedAirflow

pytestmark = pytest.mark.every_python

DAG_FILE = """
from datetime import datetime
from airflow import DAG
from airflow.operators.dummy_operator import DummyOperator

dag = DAG("quiet", start_date=datetime(2024, 1, 1), schedule_interval="@daily")
DummyOperator(task_id="task", dag=dag)
"""


def test_commands_print_no_warning(airflow_db: PatchedAirflow) -> None:
    """Commands that read and write the database leave the standard error free of warnings."""
    (airflow_db.home / "dags" / "quiet.py").write_text(DAG_FILE)
    for command in (("test", "quiet", "task", "2024-01-01"), ("next_execution", "quiet")):
        done = airflow_db.command(*command, HOME=str(airflow_db.home))
        assert "Warning" not in done.stderr, done.stderr


def test_time_is_told_without_a_warning(airflow_db: PatchedAirflow) -> None:
    """None of Airflow's clocks calls utcnow, and what they tell has the zone it always had."""
    code = dedent(
        """
        import datetime
        import types
        import airflow
        from airflow.utils import cli, timezone
        from airflow.utils.log import file_processor_handler

        class Clock(datetime.datetime):
            @classmethod
            def utcnow(cls):
                raise AssertionError("utcnow was called")

        timezone.dt = types.SimpleNamespace(datetime=Clock, timezone=datetime.timezone)
        cli.datetime = file_processor_handler.datetime = Clock
        assert timezone.utcnow().tzinfo is timezone.utc
        from argparse import Namespace
        assert cli._build_metrics("command", Namespace())["start_datetime"].tzinfo is None
        file_processor_handler.FileProcessorHandler("processor", "{filename}.log")
        """
    )
    airflow_db.python(code)


def test_info_prints_no_warning(airflow: PatchedAirflow) -> None:
    """`airflow info` finds the locale without the function that Python is to remove."""
    code = dedent(
        """
        import locale
        from airflow.bin import cli
        def removed():
            raise AssertionError("getdefaultlocale was called")
        locale.getdefaultlocale = removed
        print(cli.SystemInfo(cli.NullAnonymizer()))
        """
    )
    assert "Locale:" in airflow.python(code).stdout
