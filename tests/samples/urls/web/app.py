"""Where the routes of the samples are declared. Nothing here is an address."""
from flask import Blueprint, Flask
from flask_admin import Admin, AdminIndexView, BaseView, expose
from flask_admin.contrib.sqla import ModelView

routes = Blueprint('routes', __name__)
api = Blueprint('api', __name__, url_prefix='/overridden')


@routes.route('/')
def index():
    """Not an address: /admin/airflow/log"""


@routes.route('/health', methods=['GET'])
def health():
    return 'ok'


@api.route('/dags/<string:dag_id>/runs/<path:rest>')
def runs(dag_id, rest):
    return dag_id


@api.get('/dags')
def dags():
    return []


class Home(AdminIndexView):
    @expose('/')
    def index(self):
        return ''


class Base(BaseView):
    @expose('/log')
    def log(self):
        return ''


class Tasks(Base):
    @expose('/')
    def first(self):
        return ''

    @expose('/object/<name>', methods=['POST'])
    def change(self, name):
        return ''


class Rows(ModelView):
    @expose('/extra/')
    def extra(self):
        return ''


def create(models, session):
    app = Flask(__name__, static_url_path='/static')
    admin = Admin(app, index_view=Home(endpoint='', url='/admin', name='First'))
    admin.add_view(Tasks(name='Tasks', endpoint='tasks'))
    admin.add_view(Tasks(url='elsewhere', endpoint='again'))
    admin.add_view(Rows(models.Person, session))
    app.register_blueprint(routes)
    app.register_blueprint(api, url_prefix='/api/v1')
    app.add_url_rule(models.computed(), 'callback', index)
    return app
