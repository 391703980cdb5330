"""The Flask-AppBuilder UI is left out, and what asks for it is told so."""

from __future__ import annotations

import sqlite3
from textwrap import dedent

from airflow_process import PatchedAirflow


def test_nothing_imports_the_other_ui(airflow: PatchedAirflow) -> None:
    """The command line imports neither the other UI nor what it depends on."""
    code = dedent(
        """
        import sys
        sys.modules["flask_appbuilder"] = None
        import airflow.bin.cli
        assert not [name for name in sys.modules if name.startswith("airflow.www_rbac")]
        """
    )
    airflow.python(code)


def test_user_commands_end_with_a_message(airflow_db: PatchedAirflow) -> None:
    """Commands that manage the other UI's users end with exit code 1 and the reason."""
    create = "create_user -r Admin -u a -e a@example.org -f A -l B -p secret"
    for command in (create, "users list"):
        done = airflow_db.command(*command.split(), check=False)
        assert done.returncode == 1
        assert "has no Flask-AppBuilder UI" in done.stderr
        assert "Traceback" not in done.stderr


def test_resetdb_drops_everything(airflow_db: PatchedAirflow) -> None:
    """`resetdb` drops Flask-AppBuilder's tables too, and no table that only resembles them."""
    path = airflow_db.home / "airflow.db"
    with sqlite3.connect(path) as database:
        database.execute("insert into ab_role (id, name) values (1, 'Mine')")
        database.execute("insert into variable (key, val) values ('k', 'v')")
        database.execute("create table ab_sales (id integer)")
    database.close()
    airflow_db.command("resetdb", "-y")
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from ab_role").fetchone() == (0,)
        assert database.execute("select count(*) from variable").fetchone() == (0,)
        assert database.execute("select count(*) from ab_sales").fetchone() == (0,)
    database.close()


def test_rbac_is_refused_with_a_message(airflow: PatchedAirflow) -> None:
    """`rbac = True` stops every command, with the reason and the remedy instead of a traceback."""
    done = airflow.command("version", check=False, AIRFLOW__WEBSERVER__RBAC="True")
    assert done.returncode == 1
    assert "rbac = True" in done.stderr
    assert "Set rbac = False" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (airflow.home / "webserver_config.py").exists()
