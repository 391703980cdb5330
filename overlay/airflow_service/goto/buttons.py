"""The buttons that lead from tasks to their commands, as templates ask for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import request, url_for
from markupsafe import Markup

from airflow_service.external_commands.platform import Platform
from airflow_service.goto.tasks import PLATFORM, platform_of
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
    tasks = dag.tasks
    platforms = _platforms(tasks)
    leads = {kind: route(platform) if platform else None for kind, platform in platforms.items()}
    found = {route(platform): platform for platform in platforms.values() if platform is not None}
    if not found:
        return None
    classes: dict[str, str | None] = {}
    others: dict[str, str | None] = {}
    if knows_classes:
        classes = {kind.name: leads_to for kind, leads_to in leads.items() if leads_to is not None}
    if any(leads_to != classes.get(kind.name) for kind, leads_to in leads.items()):
        each = ((task.task_id, _kind(task)) for task in tasks)
        others = {task_id: leads[kind] for task_id, kind in each if leads[kind] != classes.get(kind.name)}
    buttons = {
        name: [platform.label, url_for(ENDPOINT, platform=name)] for name, platform in found.items()
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


class _Kind(NamedTuple):
    """What tasks have in common whose operators are of one class."""

    name: str
    """Of the class, as the pages show it."""
    module: str
    said: str | None
    """The platform that a serialized form names."""
    own: type


def _kind(task: Any) -> _Kind:
    # Qubole's operators look twice at each attribute that they are asked for, which many tasks make felt.
    fields = object.__getattribute__(task, "__dict__")
    own = type(task)
    name = fields.get("_task_type")
    if name is None:
        return _Kind(own.__name__, own.__module__, None, own)
    return _Kind(name, fields.get("_task_module", ""), fields.get(PLATFORM), own)


def _platforms(tasks: list[Any]) -> dict[_Kind, Platform | None]:
    """The platform of each kind of task that there is."""
    # Of the operators that a DAG's file made, one of each class does; what was serialized is all of one class.
    of_class = {type(task): task for task in tasks}
    looked_at = of_class.values() if not any(map(_is_serialized, of_class.values())) else tasks
    one_of_each = {_kind(task): task for task in looked_at}
    return {kind: platform_of(task) for kind, task in one_of_each.items()}


def _is_serialized(task: Any) -> bool:
    return "_task_type" in object.__getattribute__(task, "__dict__")
