"""The routes that a tree's Python declares: Flask's decorators and blueprints, and Flask-Admin's views.

Names are matched across files by their last part: a tree has one view class of a
name, and which module it was imported from does not matter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from builder.url_check.routes import MODEL_VIEW, Route, Routes
from builder.url_check.syntax import constant, keyword_text, last_name, walk

# Decorators whose first argument is a rule.
_ROUTE_DECORATORS = {"route", "get", "post", "put", "patch", "delete"}
_EXPOSE = {"expose", "expose_api"}
_INDEX_VIEW, _MODEL_VIEW = "AdminIndexView", "ModelView"
# Calls whose arguments declare where something is, and are no addresses themselves.
DECLARING = {
    *_EXPOSE, "route", "add_url_rule", "Blueprint", "register_blueprint", "Flask", "Admin", "Rule",
    "DispatcherMiddleware", "mount", "include_router", "APIRouter",
}  # fmt: skip
# The keywords that do so; the others, such as a title, may still hold an address.
DECLARED_BY = {"url", "rule", "prefix", "url_prefix", "static_url_path", "path", "endpoint", "static_folder"}


@dataclass(slots=True)
class _View:
    """A class with exposed methods, or one that inherits them."""

    bases: list[str]
    exposed: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Declarations:
    """What was read so far; `routes` puts it together when all files are in."""

    views: dict[str, _View] = field(default_factory=dict)
    made: list[ast.Call] = field(default_factory=list)
    blueprints: dict[str, tuple[str, str]] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    decorated: list[tuple[str, str, str]] = field(default_factory=list)
    admins: list[ast.Call] = field(default_factory=list)
    apps: list[ast.Call] = field(default_factory=list)

    def read(self, tree: ast.Module) -> None:
        """Take in one file."""
        for node in walk(tree):
            if isinstance(node, ast.ClassDef):
                self._class(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(node)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self._assignment(node.targets, node.value)
            elif isinstance(node, ast.Call):
                self._call(node)

    def is_view(self, name: str) -> bool:
        """Whether a class of this name is a view of the tree or, by its name, of a library."""
        return bool(self._exposed(name)) or name.endswith("View")

    def routes(self) -> Routes:
        """All routes of all files."""
        found = [*self._flask_routes()]
        roots = [self._admin_root(call) for call in self.admins] or ["/admin"]
        open_views = {"admin"} if self.admins else set()
        for call in self.made:
            for endpoint, rules, is_open in self._view_routes(call, roots[0]):
                found += [Route(rule, f"{endpoint}.{name}") for name, rule in rules]
                if is_open:
                    open_views.add(endpoint)
        return Routes(found, open_views)

    def _class(self, node: ast.ClassDef) -> None:
        view = _View([last_name(base) for base in node.bases])
        for method in node.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in method.decorator_list:
                    if isinstance(decorator, ast.Call) and last_name(decorator.func) in _EXPOSE:
                        view.exposed.setdefault(method.name, []).append(_first_text(decorator) or "/")
        self.views[node.name] = view

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
                continue
            rule = _first_text(decorator)
            if decorator.func.attr in _ROUTE_DECORATORS and rule.startswith("/"):
                owner = last_name(decorator.func.value)
                self.decorated.append((owner, rule, keyword_text(decorator, "endpoint") or node.name))

    def _assignment(self, targets: list[ast.expr], call: ast.Call) -> None:
        if last_name(call.func) == "Blueprint":
            for target in targets:
                name = _first_text(call) or keyword_text(call, "name")
                self.blueprints[last_name(target)] = (name, keyword_text(call, "url_prefix"))

    def _call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        if name == "register_blueprint" and node.args:
            self.registered[last_name(node.args[0])] = keyword_text(node, "url_prefix")
        elif name == "add_url_rule":
            endpoint = keyword_text(node, "endpoint") or (
                constant(node.args[1]) if len(node.args) > 1 else ""
            )
            self.decorated.append((last_name(_owner(node)), _first_text(node), endpoint))
        elif name == "Admin":
            self.admins.append(node)
        elif name == "Flask":
            self.apps.append(node)
        elif name[:1].isupper():
            self.made.append(node)

    def _flask_routes(self) -> Iterator[Route]:
        for app in self.apps:
            yield Route(f"{keyword_text(app, 'static_url_path') or '/static'}/<path:filename>", "static")
        for owner, rule, name in self.decorated:
            if owner in self.blueprints:
                blueprint, prefix = self.blueprints[owner]
                prefix = self.registered.get(owner) or prefix
                yield Route(prefix.rstrip("/") + rule, f"{blueprint}.{name}")
            elif "app" in owner:
                yield Route(rule, name)

    def _admin_root(self, call: ast.Call) -> str:
        for keyword in call.keywords:
            if keyword.arg == "index_view" and isinstance(keyword.value, ast.Call):
                return keyword_text(keyword.value, "url") or "/admin"
        return keyword_text(call, "url") or "/admin"

    def _view_routes(self, call: ast.Call, root: str) -> Iterator[tuple[str, list[tuple[str, str]], bool]]:
        """Endpoint and routes of a view that is made; whether its library adds routes."""
        name = last_name(call.func)
        exposed, ancestors = self._exposed(name), self._ancestors(name)
        is_model = any(ancestor.endswith(_MODEL_VIEW) for ancestor in ancestors)
        is_index = _INDEX_VIEW in ancestors
        if not exposed and not is_model:
            return
        model = last_name(call.args[0]).lower() if is_model and call.args else ""
        endpoint = keyword_text(call, "endpoint") or ("admin" if is_index else model or name.lower())
        url = keyword_text(call, "url") or (root if is_index else endpoint)
        below = url if url.startswith("/") else f"{root.rstrip('/')}/{url}"
        rules = [(method, each) for method, paths in exposed.items() for each in paths]
        if is_model:
            rules += [(method, path) for method, path in MODEL_VIEW.items() if method not in exposed]
        if is_index:
            rules.append(("static", "/static/<path:filename>"))
        yield endpoint, [(method, below.rstrip("/") + path) for method, path in rules], is_model

    def _ancestors(self, name: str) -> list[str]:
        found, waiting = [], [name]
        while waiting:
            current = waiting.pop(0)
            if current not in found:
                found.append(current)
                waiting += self.views[current].bases if current in self.views else []
        return found

    def _exposed(self, name: str) -> dict[str, list[str]]:
        exposed: dict[str, list[str]] = {}
        for ancestor in reversed(self._ancestors(name)):
            exposed |= self.views[ancestor].exposed if ancestor in self.views else {}
        return exposed


def read_declarations(trees: Iterable[ast.Module]) -> Declarations:
    """The declarations of all files."""
    declarations = Declarations()
    for tree in trees:
        declarations.read(tree)
    return declarations


def _owner(call: ast.Call) -> ast.expr:
    return call.func.value if isinstance(call.func, ast.Attribute) else call.func


def _first_text(call: ast.Call) -> str:
    return constant(call.args[0]) if call.args else ""
