"""A plugin as they were written for Airflow 1.10, with all that one may bring."""

from airflow.executors.sequential_executor import SequentialExecutor
from airflow.hooks.base_hook import BaseHook
from airflow.models import Base, BaseOperator, Variable
from airflow.models.baseoperator import BaseOperatorLink
from airflow.plugins_manager import AirflowPlugin
from airflow.sensors.base_sensor_operator import BaseSensorOperator
from airflow.settings import Session
from flask import Blueprint, flash, request
from flask_admin import BaseView, expose
from flask_admin.base import MenuLink
from flask_admin.contrib.sqla import ModelView
from sqlalchemy import Boolean, Column, ForeignKey, Integer, String
from sqlalchemy.orm import relationship
from wtforms import validators


class Team(Base):
    __tablename__ = "classic_team"
    id = Column(Integer, primary_key=True)
    name = Column(String(50), unique=True, nullable=False)

    def __str__(self):
        return self.name


class Member(Base):
    __tablename__ = "classic_member"
    id = Column(Integer, primary_key=True)
    name = Column(String(50))
    on_call = Column(Boolean, default=False)
    team_id = Column(Integer, ForeignKey("classic_team.id"))
    team = relationship(Team, backref="members")


class HelloView(BaseView):
    @expose("/")
    def index(self):
        return self.render("classic/hello.html", content="<b>hello</b>")

    @expose("/mine")
    def mine(self):
        return self.render("classic/hello.html", content="for all who are let in")

    mine.least_role = "viewer"

    @expose("/say", methods=["POST"])
    def say(self):
        flash("You said " + request.form["text"])
        return self.render("classic/hello.html", content=request.form["text"])


class TeamView(ModelView):
    column_searchable_list = ("name",)
    column_filters = ("name",)
    column_editable_list = ("name",)
    column_formatters = {"name": lambda view, context, model, name: model.name.upper()}
    # Formatters of types took two arguments then, and take a third, the column's name, now.
    column_type_formatters = {bool: lambda view, value: "yes" if value else "no"}
    form_args = {"name": {"validators": [validators.DataRequired()]}}
    inline_models = (Member,)
    can_export = True


class MemberView(ModelView):
    # Who may open it, in this distribution; without it, a plugin's view is for admins.
    least_role = "user"
    column_list = ("name", "on_call", "team")
    column_type_formatters = {bool: lambda view, value: "yes" if value else "no"}


class VariableKeysView(ModelView):
    """A view of one of Airflow's own tables, under a name of its own."""

    can_create = can_edit = can_delete = False
    column_list = ("key",)


class ClassicOperator(BaseOperator):
    template_fields = ("greeting",)

    def __init__(self, greeting="hi", **kwargs):
        super().__init__(**kwargs)
        self.greeting = greeting

    def execute(self, context):
        return self.greeting


class ClassicSensor(BaseSensorOperator):
    def poke(self, context):
        return True


class ClassicHook(BaseHook):
    pass


class ClassicExecutor(SequentialExecutor):
    pass


def classic_macro(word="macro"):
    return "classic " + word


class ClassicLink(BaseOperatorLink):
    name = "Classic"

    def get_link(self, operator, dttm):
        return "https://example.com/" + operator.task_id


class ClassicPlugin(AirflowPlugin):
    name = "classic"
    operators = [ClassicOperator]
    sensors = [ClassicSensor]
    hooks = [ClassicHook]
    executors = [ClassicExecutor]
    macros = [classic_macro]
    admin_views = [
        HelloView(category="Classic", name="Hello"),
        TeamView(Team, Session, category="Classic", name="Teams"),
        MemberView(Member, Session, category="Classic", name="Members"),
        VariableKeysView(Variable, Session, category="Classic", name="Keys", endpoint="classic_keys"),
    ]
    flask_blueprints = [
        Blueprint(
            "classic",
            __name__,
            template_folder="templates",
            static_folder="static",
            static_url_path="/static/classic",
        )
    ]
    menu_links = [MenuLink(category="Classic", name="Elsewhere", url="https://example.com/")]
    global_operator_extra_links = [ClassicLink()]
