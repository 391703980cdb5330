"""The links that operators have of their own, for whoever asks for them: the addresses that the buttons lead to."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from airflow import settings

from airflow_service.goto.tasks import platform_of
from airflow_service.goto.view import Instance, NoPage, command_page

log = logging.getLogger(__name__)


def link(operator: Any, execution_date: datetime) -> str:
    """Give the address of the page of an operator's last command; empty if there is none, as Airflow has it."""
    platform = platform_of(operator)
    if platform is None:
        return ""
    asked = Instance(operator.dag_id, operator.task_id, execution_date)
    with settings.Session.session_factory() as session:
        try:
            return command_page(platform, operator, asked, session)
        except NoPage as reason:
            log.info("No link for %s.%s of %s: %s", asked.dag_id, asked.task_id, execution_date, reason)
            return ""
