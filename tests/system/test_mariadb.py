"""The metadata database on MariaDB, by PyMySQL."""

from __future__ import annotations

import pytest
from harness.first_sight import seen_first
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
    # It compares without case and accents: who cannot be told from another is refused.
    ann, *alike = seen_first(site, beyond_utf8mb3=False)
    assert isinstance(ann, int)
    assert alike == ["user"] * 2
    assert complaints(*(text for run in (made, again, done) for text in (run.stdout, run.stderr))) == []
