"""The views of one DAG that a link to a DAG may lead to."""

from __future__ import annotations

# Their endpoints in upstream's blueprint; each shows a DAG by its dag_id alone.
DAG_VIEWS = ("tree", "graph", "duration", "tries", "landing_times", "gantt", "code", "dag_details")
CHOICES = [(name, name) for name in DAG_VIEWS]
"""For a field of a form."""


def known_view(name: str) -> str:
    """The name of a view that there is: a DAG's file, its row and airflow.cfg may hold any text."""
    return name if name in DAG_VIEWS else "tree"
