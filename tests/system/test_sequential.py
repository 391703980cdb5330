"""The scheduler as one starts with: SQLite, one task after the other."""

from __future__ import annotations

import pytest
from harness.runs import before_its_end, run_to_success, stop_in_order
from harness.site import NewSite, complaints

pytestmark = [pytest.mark.slow]


def test_sequential_executor_on_sqlite(new_site: NewSite) -> None:
    """A scheduled DAG succeeds; a failing task is tried again, fails, and is handled."""
    site = new_site("sequential")
    made = site.run("initdb")
    triggered = site.run("trigger_dag", "faulty")
    with site.start("scheduler") as scheduler:
        run_to_success(site, scheduler)
        site.wait_for_run("faulty", "failed", scheduler)
        assert site.task_states("faulty") == {
            "fails": "failed",
            "after": "upstream_failed",
            "rescue": "success",
        }
        log = site.log_of("faulty", "fails")
        assert "try 1" in log
        assert "Marking task as UP_FOR_RETRY" in log
        assert "try 2" in log
        assert "Marking task as FAILED" in log
        stop_in_order(scheduler)
    assert complaints(made.stdout, made.stderr, triggered.stderr, before_its_end(scheduler)) == []
