"""A plugin that is installed as a package and found by its entry point."""

from airflow.plugins_manager import AirflowPlugin
from flask import Blueprint, jsonify

blueprint = Blueprint("packaged", __name__, url_prefix="/packaged")
blueprint.least_role = {"GET": "viewer"}


@blueprint.route("/ping")
def ping():
    return jsonify(pong=True)


class PackagedPlugin(AirflowPlugin):
    name = "packaged"
    flask_blueprints = [blueprint]
