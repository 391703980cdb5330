"""The platforms that the distribution registers."""

from __future__ import annotations

from airflow_process import PatchedAirflow
from harness.platforms import registered


def test_platforms_are_registered(airflow: PatchedAirflow) -> None:
    """An installed distribution knows its platforms, each by operators that there are, with attributes that fit."""
    done = airflow.python(
        "import logging; logging.basicConfig()\n"
        "from airflow.utils.module_loading import import_string\n"
        "from airflow_service.external_commands import registry\n"
        "for platform in registry.platforms():\n"
        "    for name in (*platform.operators, *getattr(platform, 'checks', ())):\n"
        "        assert registry.of_classes(registry.class_names(import_string(name))) is platform, name\n"
        "    print(platform.name)\n",
        **registered(airflow.tree, airflow.home),
    )
    assert done.stdout.split() == ["databricks", "qubole"], done.stderr
