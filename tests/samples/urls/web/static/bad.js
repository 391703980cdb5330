fetch('/admin/tasks/log'); // URL: url_for('tasks.log')
fetch(`/admin/person/edit/?id=${id}`); // URL: url_for('person.edit_view')
var a = "/nowhere/at/all"; // URL: no route of the tree has this path
var b = "https://example.org/x.js"; // URL: an address with a host
var c = "//example.org/x.js"; // URL: an address with a host
location.href = "/"; // URL: url_for('routes.index')
window.open("https:" + host); // URL: an address with a host
$.ajax({url: '/admin/person/action/', data: {}}); // URL: url_for('person.action_view')
const d = root + "/admin/tasks/log"; // URL: url_for('tasks.log')
const e = `${root}/api/v1/dags/${id}/runs/${rest}`; // URL: url_for('api.runs'
const f = "\u002fadmin/"; // URL: url_for('admin.index')
const g = x ? "/admin/" : y; // URL: url_for('admin.index')
const h = `<a href="/admin/">${x}</a>`; // URL: url_for('admin.index')
const i = {"/admin/": 1}; // URL: url_for('admin.index')
const j = f("/admin/" + `${"/health"}`); // URL: url_for('admin.index') ; url_for('routes.health')
const k = base + "admin/tasks/log"; // URL: url_for('tasks.log')
const l = location.origin + "/nowhere"; // URL: a path joined to the base URL
const m = `${window.location.origin}/health`; // URL: url_for('routes.health')
const n = location.protocol + "//" + location.host + "/admin/"; // URL: url_for('admin.index')
const o = base + "/static/x.png"; // URL: url_for('static', filename='x.png')
