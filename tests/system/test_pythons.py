"""The wheel, installed without an index into an empty environment, on each Python that is here.

On the first one, test_sequential.py and test_webserver.py show as much; it is here with --thorough alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from harness.runs import before_its_end
from harness.site import Site, complaints

pytestmark = [pytest.mark.slow, pytest.mark.every_python(first="thorough")]


def test_install_and_run(each_installed: Path, tmp_path: Path) -> None:
    """A database is made, a DAG runs to success, and the index page is shown, with no warning."""
    site = Site(each_installed, tmp_path / "home")
    made = site.run("initdb")
    with site.start("scheduler") as scheduler:
        site.wait_for_run("everyday", "success", scheduler)
        assert scheduler.terminate() == 0
    with site.webserver() as (url, webserver):
        page = requests.get(f"{url}/admin/", timeout=30)
        assert page.ok
        assert "everyday" in page.text
    assert complaints(made.stdout, made.stderr, before_its_end(scheduler), webserver.output) == []
