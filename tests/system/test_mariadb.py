"""The metadata database on MariaDB, by PyMySQL."""

from __future__ import annotations

import pytest
from harness.runs import EVERYDAY
from harness.servers import MariaDB
from harness.site import NewSite, complaints

pytestmark = [pytest.mark.slow]


def test_backfill(new_site: NewSite, mariadb: MariaDB) -> None:
    """Schema, times with fractions of a second, locks and results of a backfill with parallel tasks."""
    site = new_site(
        "mariadb",
        AIRFLOW__CORE__SQL_ALCHEMY_CONN=mariadb.create("backfill"),
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
    )
    made = site.run("initdb")
    again = site.run("upgradedb")
    done = site.run("backfill", "everyday", "--start_date", "2024-01-01", "--end_date", "2024-01-01")
    assert site.task_states("everyday") == EVERYDAY
    assert site.run_states("everyday") == ["success"]
    assert complaints(*(text for run in (made, again, done) for text in (run.stdout, run.stderr))) == []
