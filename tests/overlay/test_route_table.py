"""Tests of airflow_service.gateway.route_table and declared_roles."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any

import pytest
from airflow_service.gateway.declared_roles import declared
from airflow_service.gateway.roles import Role
from airflow_service.gateway.route_table import ORDER, SAFE, RouteTable, allows, needed
from hypothesis import given
from hypothesis import strategies as st


def test_each_role_may_do_what_those_before_it_may() -> None:
    """Nobody, viewer, user, admin: in this order, and each for itself."""
    assert [[allows(role, least) for least in ORDER] for role in ORDER] == [
        [place <= own for place in range(4)] for own in range(4)
    ]


def test_what_is_not_said_is_for_admins() -> None:
    """An unknown endpoint, and a method that the table leaves out; HEAD is GET, OPTIONS the least."""
    needs = {"GET": Role.VIEWER, "POST": Role.USER}
    assert [needed(needs, method) for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "X")] == [
        Role.VIEWER, Role.VIEWER, Role.VIEWER, Role.USER, Role.ADMIN, Role.ADMIN,
    ]  # fmt: skip
    assert {needed({}, method) for method in ("GET", "HEAD", "OPTIONS", "POST")} == {Role.ADMIN}


def test_nobody_and_viewers_change_nothing() -> None:
    """In the table as it is: every other method than GET takes a user at least; what takes nobody is counted."""
    table = RouteTable.read().endpoints
    changing = [
        endpoint
        for endpoint, needs in table.items()
        for method, least in needs.items()
        if method not in SAFE and least not in (Role.USER, Role.ADMIN)
    ]
    # With a gateway there is nothing to log in to, and nothing is changed.
    assert changing == ["airflow.login"]
    open_to_all = [name for name, needs in table.items() if None in needs.values()]
    assert open_to_all == ["static", "airflow_service.static", "routes.health", "admin.static"]


def test_all_that_is_wrong_with_a_table_is_told() -> None:
    """Unknown methods and roles, an endpoint listed twice, and one without a method."""
    with pytest.raises(ValueError, match="no role") as raised:
        RouteTable.parse(
            '[[views]]\nnames = ["a", "b"]\nx = { GET = "boss", HEAD = "user" }\ny = {}\n'
            '[[views]]\nnames = ["a"]\nx = { GET = "user" }\n'
        )
    assert str(raised.value) == (
        "a.x: 'boss' is no role; a.x: 'HEAD' is none of GET, POST, PUT, PATCH, DELETE; a.y: it names no method; "
        "b.x: 'boss' is no role; b.x: 'HEAD' is none of GET, POST, PUT, PATCH, DELETE; b.y: it names no method; "
        "a.x: it is listed twice"
    )


class _View:
    def __init__(self, said: Any) -> None:
        self.least_role = said


@pytest.mark.parametrize(
    ("said", "get", "post"),
    [
        ("admin", "admin", "admin"),
        ("user", "user", "user"),
        ("viewer", "viewer", "user"),
        ({"GET": "viewer"}, "viewer", "admin"),
        ({"GET": "user", "POST": "viewer"}, "user", "user"),
        (None, "admin", "admin"),
    ],
)
def test_a_plugin_says_who_may_call_its_views(said: Any, get: str, post: str) -> None:
    """By one role or by one for each method; a viewer changes nothing, whatever is said."""
    assert declared("p.x", ["GET", "POST"], None, _View(said)) == {"GET": get, "POST": post}


def test_the_function_goes_before_the_view_and_the_view_before_the_blueprint() -> None:
    """The first that says something counts."""
    orders = product(["viewer", None], ["user", None], ["admin", None])
    found = [
        declared("p.x", ["GET"], _View(function), _View(view), _View(blueprint))["GET"]
        for function, view, blueprint in orders
    ]
    assert found == ["viewer"] * 4 + ["user"] * 2 + ["admin"] * 2


@given(st.one_of(st.text(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text()), st.booleans()))
def test_whatever_else_is_said_means_admins(said: Any) -> None:
    """Roles that are not spelt as they are, and things that are no texts: fail closed, and do not crash."""
    logging.disable(logging.CRITICAL)
    if said not in list(Role):
        assert declared("p.x", ["GET", "POST"], None, _View(said)) == dict.fromkeys(["GET", "POST"], Role.ADMIN)
    logging.disable(logging.NOTSET)


def test_a_word_that_is_no_role_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With the endpoint, so that the plugin's author finds it; nobody is no role that a plugin can give."""
    assert declared("p.x", ["GET"], None, _View("nobody"))["GET"] is Role.ADMIN
    assert "least_role of p.x is 'nobody'" in caplog.text
