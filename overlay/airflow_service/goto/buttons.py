"""The buttons that lead from tasks to their commands, as templates ask for them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import request, url_for
from markupsafe import Markup

from airflow_service.external_commands.platform import Platform
from airflow_service.goto.tasks import platform_of
from airflow_service.page_json import script_json

ENDPOINT = "airflow.goto"
# Views with a dialog for tasks. Their page's script knows the class of each task's operator, or not.
_KNOWS_CLASSES = {"airflow.graph": True, "airflow.tree": True, "airflow.gantt": False}


def route(platform: Platform) -> str:
    """What a platform's route ends in: its name, or what it wants there instead."""
    return str(getattr(platform, "goto", platform.name))


def goto_data(dag: Any) -> Markup | None:
    """What `goto.js` has to know of a DAG's tasks, as JSON; None where no button could be.

    Operators' class names decide, which the pages' own data of the tasks has, so that
    this stays small. Tasks whose class is named like one of another kind are listed.
    """
    knows_classes = _KNOWS_CLASSES.get(request.endpoint)
    if dag is None or knows_classes is None:
        return None
    tasks = [(task.task_id, task.task_type, platform) for task, platform in _platforms(dag)]
    found = {platform.name: platform for _, _, platform in tasks if platform is not None}
    if not found:
        return None
    classes = _by_class(tasks) if knows_classes else {}
    others = {
        task_id: route(platform) if platform else None
        for task_id, kind, platform in tasks
        if (route(platform) if platform else None) != classes.get(kind)
    }
    buttons = {
        route(platform): [platform.label, url_for(ENDPOINT, platform=route(platform))]
        for platform in found.values()
    }
    return Markup(script_json({"buttons": buttons, "classes": classes, "tasks": others}))


def goto_link(dag: Any, task_id: str, execution_date: str) -> dict[str, str] | None:
    """The button of a task's page: its label and its address; None for a task without a command."""
    # The page of XComs has the DAG's row alone, which knows no tasks.
    if not hasattr(dag, "has_task") or not dag.has_task(task_id):
        return None
    platform = platform_of(dag.get_task(task_id))
    if platform is None:
        return None
    asked = {"dag_id": dag.dag_id, "task_id": task_id, "execution_date": execution_date}
    return {"label": platform.label, "url": url_for(ENDPOINT, platform=route(platform), **asked)}


def _platforms(dag: Any) -> list[tuple[Any, Platform | None]]:
    """Each task and its platform; the same class is looked up once."""
    known: dict[type, Platform | None] = {}
    pairs = []
    for task in dag.tasks:
        if "_task_module" in vars(task):
            platform = platform_of(task)
        else:
            kind = type(task)
            if kind not in known:
                known[kind] = platform_of(task)
            platform = known[kind]
        pairs.append((task, platform))
    return pairs


def _by_class(tasks: list[tuple[str, str, Platform | None]]) -> dict[str, str]:
    """What most of the tasks of each class name lead to, if it is anything."""
    counted = Counter((kind, route(platform) if platform else None) for _, kind, platform in tasks)
    most: dict[str, str | None] = {}
    for (kind, leads_to), _ in counted.most_common():
        most.setdefault(kind, leads_to)
    return {kind: leads_to for kind, leads_to in most.items() if leads_to is not None}
