"""Task instances with commands, made and failed in one process; what was recorded is printed as JSON."""

import json
import sys

import pendulum
from airflow import DAG, settings
from airflow.models import DagRun, Log, TaskFail, TaskInstance
from airflow.utils import timezone
from airflow.utils.dag_processing import SimpleTaskInstance
from airflow.utils.state import State
from sqlalchemy import select
from tiny_platform import TinyOperator

# Of Pendulum's own kind, as `airflow run` makes it; the database gives plain ones.
DAY = pendulum.create(2024, 1, 1)
calls = []


def called(kind):
    def callback(context):
        calls.append([kind, context["ti"].task_id])

    return callback


def mail(to, subject, *_, **__):
    """Set as `[email] email_backend`; mails go to an address that begins with the task's id."""
    calls.append(["mail", to.partition("@")[0]])


def raises(context):
    raise RuntimeError("the callback raises")


def new_dag(dag_id="scenes"):
    return DAG(dag_id, start_date=DAY, schedule_interval=None)


def new_task(dag, task_id, operator=TinyOperator, **given):
    given = {
        "owner": "o",
        "on_failure_callback": called("failed"),
        "on_retry_callback": called("retry"),
        "on_success_callback": called("success"),
        **given,
    }
    return operator(task_id=task_id, dag=dag, **given)


def run_of(dag):
    dag.sync_to_db()
    return dag.create_dagrun("manual__1", State.RUNNING, execution_date=DAY)


def running(task, tries=1):
    """A task instance that a worker is at work on, as the database has it."""
    session = settings.Session()
    instance = TaskInstance(task, DAY)
    instance.refresh_from_db(session=session)
    instance.state, instance.start_date, instance.hostname = State.RUNNING, timezone.utcnow(), "node"
    instance._try_number = tries
    session.merge(instance)
    session.commit()
    return instance


def push(instance, command_id):
    instance.xcom_push(key="tiny_id", value=command_id)


class Bag:
    """What `kill_zombies` needs of a DagBag."""

    UNIT_TEST_MODE = False

    def __init__(self, *dags):
        from airflow.models import DagBag

        self.dags = {dag.dag_id: dag for dag in dags}
        self.log = settings.log
        self.kill_zombies = lambda zombies: DagBag.kill_zombies(self, zombies)


def zombies(*instances):
    return [SimpleTaskInstance(instance) for instance in instances]


def recorded(dag):
    """What the database says of each task, and of what was noted about it."""
    from airflow_service.external_commands import table

    session = settings.Session()
    found = {}
    for instance in session.query(TaskInstance).filter(TaskInstance.dag_id == dag.dag_id):
        found[instance.task_id] = {
            "state": instance.state,
            "tries": instance._try_number,
            "ended": instance.end_date is not None,
            "hostname": instance.hostname,
            "fails": session.query(TaskFail).filter(TaskFail.task_id == instance.task_id).count(),
            "events": [log.event for log in session.query(Log).filter(Log.task_id == instance.task_id)],
            "callbacks": [kind for kind, task_id in calls if task_id == instance.task_id],
            "rows": [],
        }
    if table.exists(settings.engine):
        for row in session.execute(select(table.TABLE).order_by(table.TABLE.c.id)):
            found.setdefault(row.task_id, {"rows": []})["rows"].append(
                {"command": row.command_id, "ended": row.ended, "reason": row.reason, "trouble": row.trouble,
                 "connection": row.connection_id, "try": row.try_number, "sent": row.sent_at is not None}
            )
    session.close()
    return found


def tell(**found):
    sys.stdout.write("\n" + json.dumps(found) + "\n")
