"""Celery's configuration for tests: a worker's `airflow run` is a fork of it, instead of a Python that starts anew.

All that `airflow run` does is done, in a process of its own. What is saved is importing Airflow, seconds of a core
for each task. It is set as `[celery] celery_config_options`.
"""

import logging
import os
import signal
import subprocess
import sys

from airflow.config_templates.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_process_init

CELERY_CONFIG = DEFAULT_CELERY_CONFIG
_OF_THE_WORKER = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)


def _run(command, **_):
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            raise subprocess.CalledProcessError(status, command)
        return
    code = 1
    try:
        for number in _OF_THE_WORKER:
            signal.signal(number, signal.SIG_DFL)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        from airflow import settings
        from airflow.bin.cli import CLIFactory

        # The connections are the parent's.
        settings.engine.pool = settings.engine.pool.recreate()
        arguments = CLIFactory.get_parser().parse_args(command[1:])
        arguments.func(arguments)
        code = 0
    except Exception:
        logging.exception("%s failed", command)
    finally:
        os._exit(code)


@worker_process_init.connect
def _fork_from_now_on(**_):
    from airflow.executors import celery_executor

    class Forking:
        CalledProcessError, STDOUT, check_call = subprocess.CalledProcessError, subprocess.STDOUT, staticmethod(_run)

    celery_executor.subprocess = Forking
