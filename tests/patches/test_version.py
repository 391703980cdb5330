"""Which version is shown where."""

from __future__ import annotations

import runpy
from textwrap import dedent

from airflow_process import PatchedAirflow

PAGE = dedent(
    """
    from airflow.www.app import create_app
    page = create_app(testing=True).test_client().get("/admin/versionview/")
    assert page.status_code == 200, page.status
    print(page.get_data(as_text=True))
    """
)


def _build(airflow: PatchedAirflow) -> dict[str, object]:
    return runpy.run_path(str(airflow.tree / "airflow_service" / "_version.py"))


def test_version_is_the_builds(airflow: PatchedAirflow) -> None:
    """`airflow version` names upstream's version and our revision."""
    assert airflow.command("version").stdout.split()[-1] == _build(airflow)["VERSION"]


def test_documentation_is_upstreams(airflow_db: PatchedAirflow) -> None:
    """The link into Airflow's documentation has upstream's version, without our revision."""
    page = airflow_db.python(PAGE).stdout
    assert f'https://airflow.apache.org/docs/apache-airflow/{_build(airflow_db)["UPSTREAM_VERSION"]}"' in page


def test_version_page(airflow_db: PatchedAirflow) -> None:
    """The version page shows version and build, links to the release, and logs no error."""
    done = airflow_db.python(PAGE)
    build = _build(airflow_db)
    assert f'/pypi/apache-airflow/{build["UPSTREAM_VERSION"]}">{build["VERSION"]}<' in done.stdout
    assert f"Build : {build['BUILD'] or 'Not Available'}<" in done.stdout
    assert "git_version" not in done.stdout + done.stderr
