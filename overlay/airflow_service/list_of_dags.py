"""What the list of DAGs gives its script (assets/static/dags.js), what it asks for at once, and its rows' links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import current_app, url_for
from markupsafe import Markup, escape

from airflow_service.page_json import script_json

# A request that fails before anything waits for it is no error of the page's.
_ASK = """
var dagData = %s;
Object.keys(dagData).forEach(function (name) {
  dagData[name] = fetch(dagData[name]);
  dagData[name].catch(function () {});
});
"""

# Stand for a DAG's id in an address and in a text. No address of ours has a bracket, and no id.
_IN_ADDRESS, _IN_TEXT = "(dag)", "(dag id)"


def dag_data(dags: Iterable[Any]) -> Markup:
    """A script that asks for the runs and tasks of `dags`, while the browser still loads the page's files.

    It leaves the answers' promises in `dagData`. To be put at the top of the page.
    """
    # The view takes the names apart after it has decoded the query, and decodes each once more.
    names = ",".join(quote(dag.dag_id, safe="") for dag in dags)
    urls = {
        "blocked": url_for("airflow.blocked"),
        "task_stats": url_for("airflow.task_stats", dag_ids=names),
        "dag_stats": url_for("airflow.dag_stats"),
    }
    return Markup(_ASK % script_json(urls))


def dags_page(colours: Mapping[str, str], hostname: str) -> Markup:
    """The JSON that the script reads: addresses, the colours of states, and the webserver's host."""
    endpoints = {
        "index": "admin.index",
        "paused": "airflow.paused",
        "dag_runs": "dagrun.index_view",
        "task_instances": "taskinstance.index_view",
    }
    urls = {name: url_for(endpoint) for name, endpoint in endpoints.items()}
    return Markup(script_json({"urls": urls, "colours": dict(colours), "hostname": hostname}))


@dataclass(frozen=True, slots=True)
class DagLinks:
    """The links of a DAG's row; called with the DAG's id."""

    text: str

    def __call__(self, dag_id: str) -> Markup:
        named = self.text.replace(_IN_ADDRESS, escape(quote(dag_id)))
        return Markup(named.replace(_IN_TEXT, escape(dag_id)))

    def __len__(self) -> int:
        """How many a row has."""
        return self.text.count("<a ")


def dag_links() -> DagLinks:
    """What makes the links of a DAG's row from its id.

    Their addresses are made once a page: they are half of what a list of many DAGs takes.
    """
    template = current_app.jinja_env.get_template("airflow_service/dag_links.html")
    return DagLinks(template.render(in_address=_IN_ADDRESS, in_text=_IN_TEXT))
