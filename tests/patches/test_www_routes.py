"""The table of routes knows every route of the application, and the documentation shows it."""

from __future__ import annotations

import re
import tomllib

from harness.made import ROOT
from harness.role_server import RoleServer

TABLE = ROOT / "overlay" / "airflow_service" / "gateway" / "routes.toml"
DOCUMENT = ROOT / "docs" / "routes.md"
PLUGINS = ("helloview.", "team.", "member.", "classic_keys.", "classic.", "packaged.")


def test_the_table_knows_every_route(roles: RoleServer) -> None:
    """A route that a patch, or a new release, adds is to be judged by a person; until then it is an admin's."""
    unknown = [
        f"{call['endpoint']} {call['method']} ({call['path']})"
        for call in roles.calls
        if not call["known"] and not call["endpoint"].startswith(PLUGINS)
    ]
    assert unknown == [], (
        f"{TABLE.name} does not know these routes, so they are for admins alone. Add each to it, with the "
        f"least role that may call it: {', '.join(unknown)}"
    )


def test_the_table_knows_no_route_that_is_not_there(roles: RoleServer) -> None:
    """What is no longer served is taken out of the table."""
    served = {(call["endpoint"], call["method"]) for call in roles.calls}
    listed = {
        (f"{name}.{function}" if name else function, method)
        for view in tomllib.loads(TABLE.read_text("utf-8"))["views"]
        for name in view["names"]
        for function, methods in view.items()
        if function != "names"
        for method in methods
    }
    assert sorted(listed - served) == []


def test_the_documentation_shows_the_table(roles: RoleServer) -> None:
    """docs/routes.md ends in what `airflow-service routes` prints with the sample plugins."""
    text = DOCUMENT.read_text("utf-8")
    shown = text[text.index("| endpoint |") :]
    printed = roles.airflow.run(str(roles.airflow.interpreter), "-m", "airflow_service", "routes").stdout
    made = roles.airflow.home / "routes.md"
    made.write_text(printed)
    assert shown == printed, f"put {made} in place of the table in {DOCUMENT}"


def test_a_view_of_data_behind_the_admin_menu_is_for_admins(roles: RoleServer) -> None:
    """Held against the menu as the release has it, not against the table."""
    behind = re.compile(
        r"^(connection|variable|pool|basexcom|user|configurationview|queryview|chart|knownevent)\."
        r"|^airflow\.(chart|chart_data|xcom|variables|varimport|pickle_info)$|^api_experimental\..*pool"
    )
    calls = [call for call in roles.calls if behind.search(call["endpoint"])]
    assert len(calls) > 60
    assert {(call["admin"], call["user"], call["viewer"], call["nobody"]) for call in calls} == {
        (None, 403, 403, 401)
    }
