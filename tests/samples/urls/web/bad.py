"""Each line that says `URL:` is found, with what stands behind it."""
from flask import Markup, redirect, request, url_for
from flask_admin.base import MenuLink


def redirects(name, good, conf):
    redirect('/admin/')  # URL: it should be url_for('admin.index')
    redirect('/')  # URL: url_for('routes.index')
    redirect('  /admin/tasks/log')  # URL: url_for('tasks.log')
    redirect(location='/admin/elsewhere/')  # URL: url_for('again.first')
    redirect('/nowhere')  # URL: no route of the tree has this path
    redirect('//example.org')  # URL: an address with a host
    redirect('https:example.org')  # URL: an address with a host
    redirect(good or '/admin/person/')  # URL: url_for('person.index_view')
    redirect('/admin/person/edit/?id=%s' % name if good else url_for('admin.index'))  # URL: url_for('person.edit_view')
    redirect(f'/api/v1/dags/{name}/runs/a/b')  # URL: url_for('api.runs', dag_id=…, rest='a/b')
    redirect('/api/v1/dags/' + name + '/runs/' + name)  # URL: url_for('api.runs', dag_id=…, rest=…)
    redirect('/static/a/{}.js'.format(name))  # URL: url_for('static', filename=…)
    redirect('/static/a/b.js')  # URL: url_for('static', filename='a/b.js')
    redirect(request.url_root)  # URL: the host as this request came by it
    return '/admin/'  # URL: url_for('admin.index')


def names(session, conf, ti):
    place = '/nowhere'  # URL: a path from the root
    if ti:
        place = 'http://example.org/'  # URL: an address with a host
    redirect(place)
    target = '/admin/' + 'rows'
    redirect(target)  # URL: no route of the tree has this path
    session.get('/admin/tasks/log')  # URL: url_for('tasks.log')
    fallback = {'next': '/health'}  # URL: url_for('routes.health')
    headers = {'Location': '/admin/'}  # URL: url_for('admin.index')
    session.headers['Location'] = '/x'  # URL: a path from the root
    session.location = '/y'  # URL: a path from the root
    session.headers.add('Location', '/z')  # URL: a path from the root
    session.answer(headers=[('location', '/z')])  # URL: a path from the root
    return fallback, headers


def mails(conf, ti):
    base = conf.get('webserver', 'base_url')
    a = base + '/admin/tasks/log'  # URL: url_for('tasks.log')
    b = '{}/log?x={}'.format(base, ti)  # URL: a path joined to the base URL
    c = f'{base}admin/'  # URL: url_for('admin.index')
    d = '%s/x' % ti
    relative = '/nowhere?x={}'.format(ti)
    e = '{base}{relative}'.format(base=base, relative=relative)  # URL: a path joined to the base URL
    f = conf.get('webserver', 'BASE_URL').rstrip('/') + '/x'  # URL: a path joined to the base URL
    g = ti.base + '/admin/tasks/log'  # URL: url_for('tasks.log')
    return a, b, c, d, e, f, g


def origins(name):
    from flask import request as asked
    redirect(request.scheme + '://' + request.host + '/nowhere')  # URL: a path joined to the base URL
    redirect(f'{request.script_root}/admin/')  # URL: url_for('admin.index')
    redirect(asked.script_root + '/nowhere')  # URL: a path joined to the base URL
    return asked.url  # URL: the host as this request came by it


def parts(a, call):
    b = f'{a}admin/tasks/log'  # URL: url_for('tasks.log')
    c = 'x' + call('/admin/tasks/log')  # URL: url_for('tasks.log')
    d = '{} {}'.format(a, call('/admin/'))  # URL: url_for('admin.index')
    redirect('/nowhere' + call('/admin/'))  # URL: no route of the tree ; url_for('admin.index')
    return b, c, d


def pages():
    yield Markup('<a href="/admin/tasks/log">{}</a>')  # URL: url_for('tasks.log')
    yield Markup("<img src='{}'><form action='/admin/'>")  # URL: url_for('admin.index')
    yield '<script>location = "/admin/"</script>'  # URL: url_for('admin.index')
    MenuLink(name='A', url='/admin/')  # URL: url_for('admin.index')
    MenuLink('A', 'https://example.org')  # URL: an address with a host
    url_for('tasks.gone')  # URL: is no endpoint of the tree
    url_for('index')  # URL: is no endpoint of the tree
    url_for('Tasks.log')  # URL: is no endpoint of the tree
    url_for('routs.health')  # URL: is no endpoint of the tree


ROUTES = {
    'tasks.log': '/admin/tasks/log',
    'tasks.first': '/admin/tasks/moved',  # URL: its rule is /admin/tasks/
    'tasks.gone': '/admin/tasks/gone',  # URL: is no endpoint of the tree
}
