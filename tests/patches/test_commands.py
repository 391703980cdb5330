"""The `airflow` command itself."""

from __future__ import annotations

from textwrap import dedent

from airflow_process import PatchedAirflow


def test_tasks_find_the_command(airflow: PatchedAirflow) -> None:
    """Started by its full path, the command can be found by name by what it starts."""
    code = dedent(
        """
        import os, runpy, shutil, sys
        script = sys.argv[1]
        sys.argv = [script, "version"]
        before = os.environ["PATH"]
        runpy.run_path(script, run_name="__main__")
        assert shutil.which("airflow") == script, os.environ["PATH"]
        assert os.environ["PATH"].startswith(before + os.pathsep)
        """
    )
    script = airflow.tree / "airflow" / "bin" / "airflow"
    script.chmod(0o755)
    airflow.run(str(airflow.interpreter), "-c", code, str(script), PATH="/usr/bin:/bin")
