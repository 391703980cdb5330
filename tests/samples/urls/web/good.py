"""Nothing here is an address of the webserver: /admin/ in a docstring, for one."""
import os
import re
import requests
from flask import Markup, redirect, request, url_for
from flask_admin.base import MenuLink

FOLDER = '/var/log/airflow'
HOME = os.path.join('/tmp', 'admin')
NAMES = re.compile(r'/(\w+)/$')
PROBE = '/healthz'
MOUNT = '/elsewhere/log'
SERVICE = 'https://api.example.org/v2'
ROUTES = {'tasks.log': '/admin/tasks/log', 'api.runs': '/api/v1/dags/<string:dag_id>/runs/<path:rest>'}
TYPES = {'text.html': 'text/html', 'a.b': '/x'[1:]}


def pages(x, conf):
    """<a href="/admin/">documentation</a>"""
    redirect(url_for('admin.index'))
    redirect(url_for('person.edit_view', id=x))
    redirect(url_for('unknown.view'))
    redirect(url_for('people.view'))
    log(f'{request.scheme}: {request.host}', f'{request.script_root}?x', x.host + '/data/files')
    redirect(url_for('.index_view'))
    redirect(url_for('callback'))
    redirect(x.get('next'))
    requests.get('https://api.example.org/v2/things')
    MenuLink(name='A', endpoint='admin.index')
    yield Markup('<a href="{}">{}</a>').format(url_for('tasks.log'), x)
    yield '<a href="mailto:a@example.org">mail</a> <a href="#top">top</a> <a href="?page=2">next</a>'
    yield 'a < b and href = "/admin/"'
    yield x + '/log'
    yield '{}/{}'.format(x, 'log')
    yield '/%s' % x
    yield ' / '
    yield 'either/or', 'text/html', '/', '//', 's3://bucket/key', 'postgresql://localhost/airflow'
    yield request.path, request.args, conf.get('core', 'dags_folder') + '/x'
    yield 'Usage: curl http://localhost:8080/admin/ and see'
    open('/etc/airflow/log')
