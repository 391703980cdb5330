"""Hooks talk to the current versions of the packages they need.

Those packages come with extras; requirements/extras-test.in names them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from harness.extras import extra_packages

# A server that says what it was asked, one JSON line a request, and answers from a table.
SERVER = """
import json, threading, http.server

class Recorder(http.server.BaseHTTPRequestHandler):
    answers, asked = {}, []

    def reply(self):
        body = self.rfile.read(int(self.headers.get('content-length') or 0)).decode()
        self.asked.append((self.command, self.path, dict(self.headers), body))
        answer = json.dumps(self.answers.get(self.path.partition('?')[0], {})).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('X-Elastic-Product', 'Elasticsearch')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_HEAD = reply

    def log_message(self, *_):
        pass

def serve(answers):
    Recorder.answers = answers
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return 'http://127.0.0.1:%d' % server.server_port
"""


@pytest.fixture
def extras(airflow: PatchedAirflow) -> PatchedAirflow:
    """The patched tree, with the packages of the extras beside it."""
    packages = extra_packages(airflow.interpreter)
    airflow.settings["PYTHONPATH"] = f"{airflow.tree}{os.pathsep}{packages}"
    return airflow


def test_mysql_hook_runs_on_pymysql(airflow: PatchedAirflow) -> None:
    """Without MySQLdb, PyMySQL connects, and is not given names that it warns of."""
    airflow.python(
        "import sys, warnings; sys.modules['MySQLdb'] = None\n"
        "import pymysql; from airflow.hooks.mysql_hook import MySqlHook\n"
        "from airflow.operators.mysql_to_hive import MySqlToHiveTransfer\n"
        "assert MySqlToHiveTransfer.type_map(pymysql.constants.FIELD_TYPE.LONG) == 'BIGINT'\n"
        "warnings.simplefilter('error', DeprecationWarning)\n"
        "try:\n    MySqlHook(mysql_conn_id='none_there').get_conn()\n"
        "except pymysql.err.OperationalError as refused:\n    assert refused.args[0] == 2003, refused\n"
        "else:\n    raise SystemExit('connected')\n",
        AIRFLOW_CONN_NONE_THERE="mysql://user:secret@127.0.0.1:1/database?cursor=dictcursor&charset=utf8",
    )


@pytest.mark.every_python
def test_data_frames_are_typed(airflow: PatchedAirflow) -> None:
    """Hive's column types and Salesforce's time stamps come from a pandas 2 frame."""
    airflow.python(
        "import sys, types, pandas\n"
        "sys.modules.setdefault('simple_salesforce', types.SimpleNamespace(Salesforce=None))\n"
        "from airflow.contrib.hooks.salesforce_hook import SalesforceHook\n"
        "from airflow.hooks.hive_hooks import HiveCliHook\n"
        "stamps = SalesforceHook._to_timestamp(pandas.Series(['2024-01-01T00:00:00Z', None], name='at'))\n"
        "assert stamps[0] == 1704067200 and pandas.isna(stamps[1]), stamps\n"
        "hook = HiveCliHook.__new__(HiveCliHook)\n"
        "loaded = {}\n"
        "hook.load_file = lambda **given: loaded.update(given['field_dict'])\n"
        "hook.load_df(pandas.DataFrame({'n': [1], 's': ['x']}), 'a_table')\n"
        "assert loaded == {'n': 'BIGINT', 's': 'STRING'}, loaded\n"
    )


def test_vault_logs_in_and_reads(extras: PatchedAirflow) -> None:
    """Each way to log in asks Vault, and a secret is read without a warning."""
    extras.python(
        SERVER + "import warnings, tempfile\n"
        "login = {'auth': {'client_token': 't'}}\n"
        "url = serve({'/v1/auth/userpass/login/u': login, '/v1/auth/approle/login': login,\n"
        "             '/v1/auth/kubernetes/login': login,\n"
        "             '/v1/secret/data/variables/greeting': {'data': {'data': {'value': 'hello'}}}})\n"
        "from airflow.contrib.secrets.hashicorp_vault import VaultBackend\n"
        "warnings.simplefilter('error', DeprecationWarning)\n"
        "with tempfile.NamedTemporaryFile('w') as jwt:\n"
        "    for how in (dict(auth_type='userpass', username='u', password='p'),\n"
        "                dict(auth_type='approle', role_id='r', secret_id='s'),\n"
        "                dict(auth_type='kubernetes', kubernetes_role='r', kubernetes_jwt_path=jwt.name)):\n"
        "        assert VaultBackend(url=url, **how).get_variable('greeting') == 'hello'\n"
        "paths = [path for _, path, _, _ in Recorder.asked if 'login' in path]\n"
        "assert len(paths) == 3, paths\n"
    )


def test_mongo_connects_with_tls(extras: PatchedAirflow) -> None:
    """A connection with `ssl` in its extras makes a client."""
    extras.python(
        "from airflow.contrib.hooks.mongo_hook import MongoHook\n"
        "client = MongoHook('none_there').get_conn()\n"
        "assert client._topology_settings.pool_options._ssl_context is not None\n",
        AIRFLOW_CONN_NONE_THERE="mongo://127.0.0.1:1/database?ssl=true&connectTimeoutMS=50",
    )


def test_docker_speaks_tls(extras: PatchedAirflow, tmp_path: Path) -> None:
    """Client certificates reach the Docker client; what it cannot do is said."""
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    extras.run(
        str(extras.interpreter),
        "-c",
        "import sys, unittest; from airflow.operators.docker_operator import DockerOperator\n"
        "ca, cert, key = sys.argv[1:]\n"
        "task = DockerOperator(task_id='t', image='i', docker_url='tcp://127.0.0.1:1', tls_ca_cert=ca,\n"
        "                      tls_client_cert=cert, tls_client_key=key, tls_hostname='other')\n"
        "with unittest.TestCase().assertLogs(task.log, 'WARNING') as logs:\n"
        "    made = task._DockerOperator__get_tls_config()\n"
        "assert 'tls_hostname' in logs.output[0], logs.output\n"
        "assert made.cert == (cert, key) and made.ca_cert == ca and made.verify is True\n"
        "assert task.docker_url == 'https://127.0.0.1:1'\n",
        *(str(tmp_path / name) for name in ("ca", "cert", "key")),
    )


def test_sentry_tags_a_failed_task(extras: PatchedAirflow) -> None:
    """The event of a failed task carries its tags, which end with the task."""
    extras.python(
        "import sentry_sdk, types, warnings\n"
        "from airflow.sentry import Sentry, ConfiguredSentry\n"
        "warnings.simplefilter('error', DeprecationWarning)\n"
        "assert isinstance(Sentry, ConfiguredSentry)\n"
        "sent = []\n"
        "sentry_sdk.init(dsn='http://key@127.0.0.1:1/1', before_send=lambda event, hint: sent.append(event))\n"
        "dag = types.SimpleNamespace(get_task_instances=lambda **_: [])\n"
        "ti = types.SimpleNamespace(task=types.SimpleNamespace(dag=dag), task_id='t', dag_id='d',\n"
        "                           execution_date='2024-01-01', try_number=1, operator=None)\n"
        "def run(task_instance, session=None):\n    raise ValueError('no')\n"
        "try:\n    Sentry.enrich_errors(run)(ti, session=object())\n"
        "except ValueError:\n    pass\n"
        "sentry_sdk.capture_message('afterwards')\n"
        "failed, later = sent\n"
        "assert failed['tags']['task_id'] == 't', failed['tags']\n"
        "assert 'task_id' not in later.get('tags', {}), later['tags']\n"
    )


SFTP_SERVER = """
import os, socket, sys, threading, paramiko

class Account(paramiko.ServerInterface):
    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if username == 'u' else paramiko.AUTH_FAILED
    def get_allowed_auths(self, username):
        return 'publickey'
    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

class Files(paramiko.SFTPServerInterface):
    root = sys.argv[1]
    def path(self, name):
        return self.root + self.canonicalize(name)
    def attempt(self, function, *args):
        try:
            return function(*args)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
    def stat(self, path):
        return self.attempt(lambda: paramiko.SFTPAttributes.from_stat(os.stat(self.path(path))))
    lstat = stat
    def list_folder(self, path):
        full = self.path(path)
        return [paramiko.SFTPAttributes.from_stat(os.stat(os.path.join(full, name)), name)
                for name in os.listdir(full)]
    def mkdir(self, path, attributes):
        return self.attempt(os.mkdir, self.path(path), attributes.st_mode) or paramiko.SFTP_OK
    def rmdir(self, path):
        return self.attempt(os.rmdir, self.path(path)) or paramiko.SFTP_OK
    def remove(self, path):
        return self.attempt(os.remove, self.path(path)) or paramiko.SFTP_OK
    def open(self, path, flags, attributes):
        handle = paramiko.SFTPHandle(flags)
        mode = 'wb' if flags & os.O_WRONLY else 'rb'
        try:
            handle.readfile = handle.writefile = open(self.path(path), mode)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return handle

listener = socket.create_server(('127.0.0.1', 0))
host_key = paramiko.ECDSAKey.generate()

def serve():
    while True:
        transport = paramiko.Transport(listener.accept()[0])
        transport.add_server_key(host_key)
        transport.set_subsystem_handler('sftp', paramiko.SFTPServer, Files)
        transport.start_server(server=Account())

threading.Thread(target=serve, daemon=True).start()
port = listener.getsockname()[1]
"""

SFTP_CLIENT = """
import json, tempfile
key_file = os.path.join(sys.argv[2], 'key')
paramiko.ECDSAKey.generate().write_private_key_file(key_file, password='phrase')

def connect(**extra):
    os.environ['AIRFLOW_CONN_FILES'] = 'sftp://u@127.0.0.1:%d' % port
    from airflow.contrib.hooks.sftp_hook import SFTPHook
    from airflow.models import Connection
    made = Connection(conn_id='files', conn_type='sftp', host='127.0.0.1', port=port, login='u',
                      extra=json.dumps(dict(key_file=key_file, private_key_pass='phrase', **extra)))
    SFTPHook.get_connection = lambda self, conn_id: made
    return SFTPHook('files')

try:
    connect().get_conn()
except paramiko.SSHException as refused:
    assert 'known_hosts' in str(refused), refused
else:
    raise SystemExit('an unknown host key was accepted')

hook = connect(no_host_key_check=True)
os.umask(0)
hook.create_directory('/made', mode=750)
assert os.stat(sys.argv[1] + '/made').st_mode & 0o777 == 0o750
hook.store_file('/made/b', key_file)
hook.store_file('/made/a', key_file)
assert hook.list_directory('/made') == ['a', 'b']
assert list(hook.describe_directory('/made')) == ['a', 'b']
assert hook.path_exists('/made/a') and not hook.path_exists('/made/c')
hook.retrieve_file('/made/a', key_file + '.back')
assert open(key_file).read() == open(key_file + '.back').read()
assert len(hook.get_mod_time('/made/a')) == 14
for name in ('a', 'b'):
    hook.delete_file('/made/' + name)
hook.delete_directory('/made')
hook.close_conn()
assert hook.conn is None and hook.client.get_transport() is None
"""


def test_sftp_hook_transfers_files(extras: PatchedAirflow, tmp_path: Path) -> None:
    """Files go both ways over SFTP; a host whose key is not known is refused."""
    (tmp_path / "root").mkdir()
    arguments = (str(tmp_path / "root"), str(tmp_path))
    extras.run(str(extras.interpreter), "-c", SFTP_SERVER + SFTP_CLIENT, *arguments, HOME=str(tmp_path))


def test_logs_are_read_from_elasticsearch(extras: PatchedAirflow) -> None:
    """The release's host setting, without a scheme, still finds a task's log."""
    extras.python(
        SERVER + "import types, datetime\n"
        "hit = {'_index': 'i', '_id': '1', '_source': {'message': 'a line', 'offset': 1}}\n"
        "url = serve({'/_all/_count': {'count': 1}, '/_count': {'count': 1},\n"
        "             '/_search': {'hits': {'total': {'value': 1}, 'hits': [hit]}}})\n"
        "from airflow.utils.log.es_task_handler import ElasticsearchTaskHandler\n"
        "handler = ElasticsearchTaskHandler('logs', '{{ ti.task_id }}', '{dag_id}-{task_id}', 'end',\n"
        "                                   False, False, '', host=url[len('http://'):])\n"
        "ti = types.SimpleNamespace(dag_id='d', task_id='t', execution_date=datetime.datetime(2024, 1, 1))\n"
        "message, metadata = handler._read(ti, 1)\n"
        "assert message == 'a line', (message, Recorder.asked)\n"
    )


def test_slack_is_called_over_http(airflow: PatchedAirflow) -> None:
    """The token goes into a header, structures go as JSON, and a refusal raises."""
    airflow.python(
        SERVER + "import urllib.parse\n"
        "from airflow.exceptions import AirflowException\n"
        "from airflow.operators.slack_operator import SlackAPIPostOperator\n"
        "from airflow.hooks.slack_hook import SlackHook\n"
        "SlackHook.api_url = serve({'/chat.postMessage': {'ok': True},\n"
        "                           '/nothing': {'ok': False, 'error': 'unknown_method'}}) + '/'\n"
        "task = SlackAPIPostOperator(task_id='t', token='secret', channel='#c', text='hello', attachments=[{'a': 1}])\n"
        "task.execute()\n"
        "_, path, headers, body = Recorder.asked[0]\n"
        "fields = urllib.parse.parse_qs(body)\n"
        "assert headers['Authorization'] == 'Bearer secret', headers\n"
        "assert fields['text'] == ['hello'] and json.loads(fields['attachments'][0]) == [{'a': 1}], fields\n"
        "try:\n    SlackHook(token='secret').call('nothing', {})\n"
        "except AirflowException as refused:\n    assert 'unknown_method' in str(refused)\n"
        "else:\n    raise SystemExit('not refused')\n"
    )


def test_sendgrid_attaches_files(extras: PatchedAirflow, tmp_path: Path) -> None:
    """An attachment goes out with its content, type and name."""
    (tmp_path / "a.txt").write_text("content")
    extras.run(
        str(extras.interpreter),
        "-c",
        "import sys; from airflow.contrib.utils import sendgrid\n"
        "sent = []; sendgrid._post_sendgrid_mail = sent.append\n"
        "sendgrid.send_email('a@example.com', 's', '<p>', files=[sys.argv[1]], cc='c@example.com',\n"
        "                    from_email='f@example.com', categories=['k'])\n"
        "(attachment,) = sent[0]['attachments']\n"
        "assert attachment['content'] == 'Y29udGVudA==' and attachment['filename'] == 'a.txt', attachment\n"
        "assert attachment['type'] == 'text/plain' and sent[0]['categories'] == ['k'], sent\n",
        str(tmp_path / "a.txt"),
    )


def test_salesforce_signs_in(extras: PatchedAirflow) -> None:
    """The sign-in passes only what the client takes; a sandbox has its own domain."""
    extras.python(
        "import inspect, simple_salesforce\n"
        "from airflow.contrib.hooks import salesforce_hook\n"
        "takes, seen = inspect.signature(simple_salesforce.Salesforce), []\n"
        "salesforce_hook.Salesforce = lambda **given: seen.append(takes.bind(**given).arguments)\n"
        "for name in ('live', 'sandbox'):\n    salesforce_hook.SalesforceHook(name).sign_in()\n"
        "assert [each['domain'] for each in seen] == [None, 'test'], seen\n",
        AIRFLOW_CONN_LIVE="http://u:p@example.com/?security_token=t",
        AIRFLOW_CONN_SANDBOX="http://u:p@example.com/?security_token=t&sandbox=1",
    )


@pytest.mark.every_python
def test_qubole_results_are_written(airflow: PatchedAirflow) -> None:
    """Results go to a file that is named by the time, in the form it always had, without a warning."""
    airflow.python(
        "import datetime, os, types\n"
        "from airflow.contrib.hooks import qubole_hook\n"
        "class Clock(datetime.datetime):\n"
        "    @classmethod\n"
        "    def utcnow(cls):\n"
        "        raise DeprecationWarning('as Python 3.12 and later warn')\n"
        "qubole_hook.datetime = types.SimpleNamespace(datetime=Clock, timezone=datetime.timezone)\n"
        "hook = qubole_hook.QuboleHook.__new__(qubole_hook.QuboleHook)\n"
        "hook.dag_id, hook.task_id = 'd', 't'\n"
        "hook.account = qubole_hook.Account(types.SimpleNamespace(host=None, password='t'))\n"
        "hook.cmd, qubole_hook.write_results = object(), lambda _, file, *more: file.write(b'rows')\n"
        "name = hook.get_results()\n"
        "assert open(name, 'rb').read() == b'rows'\n"
        "assert datetime.datetime.fromisoformat(os.path.basename(name)).tzinfo is None\n"
    )
