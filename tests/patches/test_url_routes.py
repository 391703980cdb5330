"""The routes that the URL check reads from the tree's Python are those of the running webserver."""

from __future__ import annotations

from airflow_process import PatchedAirflow
from harness.made import ROOT
from www_client import ask

from builder.release import select_release
from builder.url_check import find, scope

# Flask-Admin counts a page of files that its views have each; nobody links to them.
_VIEWS_OWN = ".static"


def test_routes_of_the_check_are_those_of_the_webserver(airflow_db: PatchedAirflow) -> None:
    """Each rule of the application is known by its endpoint, and none is made up."""
    real = ask(
        airflow_db, "answer([[each.endpoint, each.rule] for each in create_app().url_map.iter_rules()])"
    )
    release = select_release(ROOT / "patches", None)
    _, routes = find(scope(airflow_db.tree, release.upstream_packages, release.wheel_without, [], None))
    # `models.XCom` is whichever class the configuration names: only running it tells its name.
    named = [[each.replace("basexcom", "xcom") for each in pair] for pair in real]
    served = {(endpoint, rule) for endpoint, rule in named if not endpoint.endswith(_VIEWS_OWN)}
    declared = {(route.endpoint, route.rule) for route in routes.routes if "." in route.endpoint}
    declared = {(endpoint, rule) for endpoint, rule in declared if not endpoint.endswith(_VIEWS_OWN)}
    assert served - {("static", "/static/<path:filename>")} == declared
    assert len(served) > 150
