// fetch('/admin/')
const slash = "/", date = day + "/" + month, joined = parts.join("/"), text = "/ or \\";
const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
const pattern = /^\/admin\/$/, ratio = width / 2 / height;
fetch(form.action + "?x=" + encodeURIComponent("/"));
fetch(document.body.dataset.url);
location.href = link.href;
el.innerHTML = "<b>" + text + "</b>";
const label = "either/or", type = "text/html", sentence = "see /admin/ for more";
const here = location.protocol + "//" + location.host + location.pathname, page = location.origin + "?x=1";
if (link.host === location.host) { el.title = location.host + ": " + text; }
