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


def test_a_daemon_adds_to_its_output(airflow_db: PatchedAirflow) -> None:
    """Its start leaves what is there: it may not be shipped yet, and a file that is cut off by others has no hole."""
    code = """
    import pathlib
    from airflow.bin import cli
    home = pathlib.Path(cli.settings.AIRFLOW_HOME)
    class Started(Exception):
        pass
    def daemonize(stdout, stderr, **more):
        for file in (stdout, stderr):
            file.write("said")
            file.flush()
        raise Started
    cli.daemon.DaemonContext = daemonize
    for name in ("webserver", "scheduler", "worker", "flower", "kerberos"):
        for end in ("out", "err"):
            (home / f"airflow-{name}.{end}").write_text("before ")
        try:
            arguments = cli.CLIFactory.get_parser().parse_args([name, "--daemon"])
            arguments.func(arguments)
        except Started:
            print("FOUND", name, [(home / f"airflow-{name}.{end}").read_text() for end in ("out", "err")])
    """
    told = airflow_db.python(dedent(code)).stdout
    names = ("webserver", "scheduler", "worker", "flower", "kerberos")
    assert [line for line in told.splitlines() if line.startswith("FOUND")] == [
        f"FOUND {name} ['before said', 'before said']" for name in names
    ]
