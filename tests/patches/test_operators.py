"""The operators and sensors that most DAGs are made of run to their end on the current stack."""

from __future__ import annotations

import os
import urllib.parse

from airflow_process import PatchedAirflow
from harness.extras import extra_packages

SERVERS = """
import http.server, socketserver, threading

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/there' else 404)
        self.end_headers()
        self.wfile.write(b'a page')
    def log_message(self, *_):
        pass

mails = []

class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b'220 here\\r\\n')
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b'DATA':
                self.wfile.write(b'354 go on\\r\\n')
                mails.append(b''.join(iter(self.rfile.readline, b'.\\r\\n')))
            self.wfile.write(b'221 bye\\r\\n' if verb == b'QUIT' else b'250 well\\r\\n')
            if verb == b'QUIT':
                break

def start(server, handler):
    made = server(('127.0.0.1', 0), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return str(made.server_address[1])

import os
os.environ['AIRFLOW_CONN_SITE'] = 'http://127.0.0.1:' + start(http.server.ThreadingHTTPServer, Pages)
os.environ['AIRFLOW__SMTP__SMTP_PORT'] = start(socketserver.ThreadingTCPServer, Mail)
"""

# A DAG file, since a DAG that is triggered is looked up there; run by itself it runs all tasks.
TASKS = """
import datetime, sqlite3, sys, warnings
warnings.filterwarnings('error', category=DeprecationWarning, module='airflow')
from airflow import DAG, settings
from airflow.contrib.sensors.file_sensor import FileSensor
from airflow.models import DagRun, TaskInstance
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dagrun_operator import TriggerDagRunOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.email_operator import EmailOperator
from airflow.operators.http_operator import SimpleHttpOperator
from airflow.operators.latest_only_operator import LatestOnlyOperator
from airflow.operators.python_operator import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.operators.sqlite_operator import SqliteOperator
from airflow.sensors.external_task_sensor import ExternalTaskSensor
from airflow.sensors.http_sensor import HttpSensor
from airflow.sensors.sql_sensor import SqlSensor
from airflow.sensors.time_delta_sensor import TimeDeltaSensor
from airflow.sensors.time_sensor import TimeSensor
from airflow.utils import timezone
from airflow.utils.state import State

day = timezone.datetime(2024, 1, 1)
dag = DAG('all_kinds', start_date=day, schedule_interval='@daily', default_args={'owner': 'o'})
said = []

def pull(ti, **_):
    said.append(ti.xcom_pull(task_ids='bash'))

with dag:
    bash = BashOperator(task_id='bash', bash_command='echo {{ macros.ds_add(ds, 1) }}', xcom_push=True)
    python = PythonOperator(task_id='python', python_callable=pull, provide_context=True)
    bash >> python
    branch = BranchPythonOperator(task_id='branch', python_callable=lambda: 'taken')
    branch >> [DummyOperator(task_id='taken'), DummyOperator(task_id='left')]
    short = ShortCircuitOperator(task_id='short', python_callable=lambda: False)
    short >> DummyOperator(task_id='cut')
    latest = LatestOnlyOperator(task_id='latest')
    latest >> DummyOperator(task_id='old')
    TriggerDagRunOperator(task_id='trigger', trigger_dag_id='all_kinds',
                          execution_date=day + datetime.timedelta(1))
    EmailOperator(task_id='mail', to='a@example.com, b@example.com', subject='{{ ds }}', html_content='<p>hello')
    sql = SqliteOperator(task_id='sql', sqlite_conn_id='base', sql='create table t as select 1 as n')
    sql >> SqlSensor(task_id='row', conn_id='base', sql='select n from t', poke_interval=1, timeout=5)
    SimpleHttpOperator(task_id='get', http_conn_id='site', endpoint='there', method='GET', xcom_push=True)
    HttpSensor(task_id='page', http_conn_id='site', endpoint='there', poke_interval=1, timeout=5)
    python >> ExternalTaskSensor(task_id='other', external_dag_id='all_kinds', external_task_id='bash',
                                 poke_interval=1, timeout=5)
    TimeSensor(task_id='time', target_time=datetime.time(0, 0), poke_interval=1, timeout=5)
    TimeDeltaSensor(task_id='delta', delta=datetime.timedelta(hours=1), poke_interval=1, timeout=5)
    FileSensor(task_id='file', filepath=sys.executable, poke_interval=1, timeout=5)
    HttpSensor(task_id='later', http_conn_id='site', endpoint='not_there', mode='reschedule',
               poke_interval=60, timeout=600)

if __name__ == '__main__':
    from servers import mails
    dag.sync_to_db()
    dag.create_dagrun('manual__1', State.RUNNING, execution_date=day)
    expected = {'left': State.SKIPPED, 'cut': State.SKIPPED, 'old': State.SKIPPED, 'later': State.UP_FOR_RESCHEDULE}
    for task in dag.topological_sort():
        instance = TaskInstance(task, day)
        instance.refresh_from_db()
        if instance.state is None:
            instance.run()
            instance.refresh_from_db()
        wanted = expected.get(task.task_id, State.SUCCESS)
        assert instance.state == wanted, (task.task_id, instance.state)
    assert said == ['2024-01-02'], said
    assert b'Subject: 2024-01-01' in mails[0] and len(mails) == 1, mails
    assert len(DagRun.find('all_kinds')) == 2
    assert TaskInstance(dag.get_task('get'), day).xcom_pull(task_ids='get') == 'a page'
"""


def test_common_operators_run(airflow_db: PatchedAirflow) -> None:
    """Each ends in the state it should, and none uses what is deprecated."""
    (airflow_db.home / "servers.py").write_text(SERVERS)
    file = airflow_db.home / "dags" / "all_kinds.py"
    file.write_text(TASKS)
    done = airflow_db.run(
        str(airflow_db.interpreter),
        str(file),
        PYTHONPATH=f"{airflow_db.tree}{os.pathsep}{airflow_db.home}",
        AIRFLOW_CONN_BASE="sqlite://" + urllib.parse.quote(str(airflow_db.home / "base.db"), safe=""),
        AIRFLOW_CONN_FS_DEFAULT="fs:///?path=/",
        AIRFLOW__SMTP__SMTP_HOST="127.0.0.1",
        AIRFLOW__SMTP__SMTP_STARTTLS="False",
    )
    assert "Logging error" not in done.stderr


def test_python_runs_in_a_virtualenv(airflow_db: PatchedAirflow) -> None:
    """The function runs in an environment of its own, wherever `virtualenv` is installed."""
    # A file, since the operator reads the function's source.
    script = airflow_db.home / "where.py"
    script.write_text(
        "import sys\n"
        "from airflow.operators.python_operator import PythonVirtualenvOperator\n"
        "def where(answer):\n    import sys\n    return [sys.prefix, answer]\n"
        "task = PythonVirtualenvOperator(task_id='t', python_callable=where, op_args=[42])\n"
        "prefix, answer = task.execute_callable()\n"
        "assert answer == 42 and prefix != sys.prefix, prefix\n",
        "utf-8",
    )
    airflow_db.run(
        str(airflow_db.interpreter),
        str(script),
        PATH="/usr/bin:/bin",
        PYTHONPATH=f"{airflow_db.tree}{os.pathsep}{extra_packages(airflow_db.interpreter)}",
    )


def test_exceptions_are_logged_in_colour(airflow: PatchedAirflow) -> None:
    """An exception on the console is shown with its traceback."""
    done = airflow.python(
        "import logging, sys\n"
        "from airflow.utils.log.colored_log import CustomTTYColoredFormatter\n"
        "handler = logging.StreamHandler(sys.stdout)\n"
        "handler.setFormatter(CustomTTYColoredFormatter('%(log_color)s%(message)s', stream=sys.stdout))\n"
        "log = logging.getLogger('a'); log.addHandler(handler)\n"
        "try:\n    1 / 0\n"
        "except ZeroDivisionError:\n    log.exception('it %s', 'failed')\n"
    )
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "Logging error" not in done.stderr


def test_example_dags_load(airflow_db: PatchedAirflow) -> None:
    """Each example of the release that needs no extra is imported, and none warns."""
    done = airflow_db.python(
        "import os, airflow\n"
        "from airflow.models import DagBag\n"
        "bag = DagBag(os.path.join(os.path.dirname(airflow.__file__), 'example_dags'), include_examples=False)\n"
        "missing = {path: error for path, error in bag.import_errors.items()\n"
        "           if 'kubernetes' not in error and 'docker' not in error}\n"
        "assert not missing, missing\n"
        "assert len(bag.dags) > 20, bag.dags\n",
        "-W",
        "error::DeprecationWarning:airflow",
    )
    assert "Warning" not in done.stdout
