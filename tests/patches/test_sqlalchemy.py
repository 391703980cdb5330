"""SQLAlchemy 1.4 under the models."""

from __future__ import annotations

from textwrap import dedent

from airflow_process import PatchedAirflow


def test_delete_dag(airflow_db: PatchedAirflow) -> None:
    """A DAG is deleted with all rows that refer to it, in an order that foreign keys allow."""
    code = dedent(
        """
        from airflow import settings
        from airflow.api.common.experimental.delete_dag import delete_dag
        from airflow.models import DAG, DagModel, DagRun, TaskInstance, TaskReschedule
        from airflow.models.dag import DagTag
        from airflow.operators.dummy_operator import DummyOperator
        from airflow.utils import timezone

        now = timezone.utcnow()
        session = settings.Session()
        session.add(DagModel(dag_id="gone"))
        session.flush()
        session.add(DagTag(name="tag", dag_id="gone"))
        task = DummyOperator(task_id="task", dag=DAG("gone", start_date=now))
        session.add(TaskInstance(task, now))
        session.flush()
        session.add(TaskReschedule(task, now, 1, now, now, now))
        session.add(DagRun(dag_id="gone", run_id="r", execution_date=now))
        session.commit()
        assert delete_dag("gone") == 5
        for model in (DagModel, DagTag, TaskInstance, TaskReschedule, DagRun):
            assert session.query(model).filter_by(dag_id="gone").count() == 0, model
        """
    )
    airflow_db.python(code)


def test_postgres_scheme_is_accepted_with_a_warning(airflow: PatchedAirflow) -> None:
    """`postgres://` is taken for `postgresql://`; a warning says what to write."""
    code = "from airflow import settings; print(settings.engine.url, settings.SQL_ALCHEMY_CONN)"
    done = airflow.python(code, AIRFLOW__CORE__SQL_ALCHEMY_CONN="postgres://airflow@127.0.0.1:1/db")
    assert done.stdout.split()[-2:] == ["postgresql://airflow@127.0.0.1:1/db"] * 2
    assert "write postgresql instead" in done.stderr
    quiet = airflow.python(
        code, AIRFLOW__CORE__SQL_ALCHEMY_CONN="postgresql+psycopg2://airflow@127.0.0.1:1/db"
    )
    assert quiet.stdout.split()[-1] == "postgresql+psycopg2://airflow@127.0.0.1:1/db"
    assert "write postgresql" not in quiet.stderr


def test_postgres_scheme_in_the_result_backend(airflow: PatchedAirflow) -> None:
    """Celery's result backend may be spelled in the old way as well."""
    code = "from airflow.config_templates.default_celery import result_backend; print(result_backend)"
    done = airflow.python(code, AIRFLOW__CELERY__RESULT_BACKEND="db+postgres://airflow@127.0.0.1:1/db")
    assert done.stdout.split()[-1] == "db+postgresql://airflow@127.0.0.1:1/db"


def test_engine_of_a_postgres_connection(airflow: PatchedAirflow) -> None:
    """A connection of type postgres gives an engine, while its URI stays what it was."""
    code = dedent(
        """
        from airflow.hooks.postgres_hook import PostgresHook
        hook = PostgresHook()
        assert hook.get_uri() == "postgres://me:pw@host:5432/db", hook.get_uri()
        assert hook.get_sqlalchemy_engine().dialect.name == "postgresql"
        """
    )
    airflow.python(code, AIRFLOW_CONN_POSTGRES_DEFAULT="postgres://me:pw@host:5432/db")
