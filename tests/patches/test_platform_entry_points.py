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
        "    for name in platform.operators:\n"
        "        assert registry.of_classes(registry.class_names(import_string(name))) is platform, name\n"
        "    print(platform.name)\n",
        **registered(airflow.tree, airflow.home),
    )
    assert done.stdout.split() == ["databricks", "qubole"], done.stderr


def test_checks_decide_for_themselves(airflow: PatchedAirflow) -> None:
    """A command of a check that is done leaves open what the check says; one of a plain operator does not."""
    airflow.python(
        "from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator, QuboleValueCheckOperator\n"
        "from airflow.contrib.operators.qubole_operator import QuboleOperator\n"
        "from airflow_service.external_commands.registry import named, of_task\n"
        "class Own(QuboleCheckOperator): pass\n"
        "decide = {}\n"
        "class Kills(QuboleOperator):\n"
        "    def on_kill(self): pass\n"
        "class Looks(QuboleOperator):\n"
        "    def post_execute(self, context, result=None): pass\n"
        "class Executes(QuboleOperator):\n"
        "    def execute(self, context): pass\n"
        "class Below(Executes): pass\n"
        "class Mixin:\n"
        "    def execute(self, context): pass\n"
        "class Mixed(Mixin, QuboleOperator): pass\n"
        "class Says(Executes):\n"
        "    command_decides = True\n"
        "class Again(Says):\n"
        "    def execute(self, context): pass\n"
        "class Denies(QuboleOperator):\n"
        "    command_decides = False\n"
        "for operator in (QuboleOperator, QuboleCheckOperator, QuboleValueCheckOperator, Own, Kills, Looks, Executes,\n"
        "                 Below, Mixed, Says, Again, Denies):\n"
        "    more = {'pass_value': 1} if operator is QuboleValueCheckOperator else {}\n"
        "    task = operator(task_id='t', command_type='hivecmd', query='q', **more)\n"
        "    assert of_task(task) is named('qubole')\n"
        "    decide[operator.__name__] = of_task(task).decides(task)\n"
        "assert [name for name, yes in decide.items() if yes] == ['QuboleOperator', 'Kills', 'Says'], decide\n"
        "from airflow.contrib.operators.databricks_operator import DatabricksSubmitRunOperator\n"
        "class Submits(DatabricksSubmitRunOperator):\n"
        "    def execute(self, context): pass\n"
        "for operator in (DatabricksSubmitRunOperator, Submits):\n"
        "    task = operator(task_id='t', json={})\n"
        "    assert of_task(task).decides(task) is (operator is not Submits)\n",
        **registered(airflow.tree, airflow.home),
    )
