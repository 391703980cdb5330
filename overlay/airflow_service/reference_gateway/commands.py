"""The subcommand `airflow-service gateway`: serve, and look after users and keys."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from airflow_service.errors import EXIT_DONE
from airflow_service.reference_gateway.settings import Settings, WrongGateway, read_settings
from airflow_service.reference_gateway.store import ROLES, Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
NO_ROLE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What stands behind `airflow-service gateway`."""
    parser.add_argument(
        "action", nargs="?", default="run", choices=sorted(_ACTIONS),
        help="run it (the default), list the users, add or remove one, give one a role or a password, take a new key",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="its configuration (TOML)")
    parser.add_argument("--user", metavar="NAME", help="whom an action is about")
    parser.add_argument("--cluster", metavar="ID", help="where the role is for")
    parser.add_argument("--role", choices=[*ROLES, NO_ROLE], help="which role the user gets there")
    parser.add_argument(
        "--external", action="store_true", help="add a user who logs in at the OpenID Connect provider"
    )
    parser.add_argument(
        "--at-once", action="store_true",
        help="with rotate: drop the old key now, though assertions of its are refused (if it was stolen)",
    )  # fmt: skip
    parser.add_argument(
        "--password-stdin", action="store_true",
        help="read the user's new password from standard input (default: make one, and print it)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say; raises WrongGateway."""
    _ACTIONS[arguments.action](read_settings(arguments.config), arguments)
    return EXIT_DONE


def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    from airflow_service.reference_gateway.server import serve

    serve(settings)


def _list(settings: Settings, arguments: argparse.Namespace) -> None:
    for name, known, roles in Store.open(settings.state).users():
        held = ", ".join(f"{cluster}={role}" for cluster, role in sorted(roles.items()))
        print(f"{name}  {'password' if known else 'external'}  {held}".rstrip())


def _add(settings: Settings, arguments: argparse.Namespace) -> None:
    name = _needed(arguments.user, "--user")
    if not _NAME.fullmatch(name):
        raise WrongGateway(f"--user: {name!r} is no name: 1 to 128 of A-Z a-z 0-9 . _ @ + -")
    if arguments.cluster or arguments.role:
        _role(settings, arguments)
    password, kept = (None, None) if arguments.external else _password(arguments.password_stdin)
    if not Store.open(settings.state).add_user(name, kept):
        raise WrongGateway(f"there is a user {name!r} already")
    if arguments.cluster or arguments.role:
        _give(settings, arguments)
    if password and not arguments.password_stdin:
        print(f"{name} has the password {password}")


def _set_password(settings: Settings, arguments: argparse.Namespace) -> None:
    name = _needed(arguments.user, "--user")
    store = Store.open(settings.state)
    if store.password(name) is None:
        raise WrongGateway(f"there is no user {name!r} with a password")
    password, kept = _password(arguments.password_stdin)
    if not store.set_password(name, kept):
        raise WrongGateway(f"there is no user {name!r} with a password")
    if not arguments.password_stdin:
        print(f"{name} has the password {password}")


def _password(given: bool) -> tuple[str, str]:
    """A password, read or made, and its hash."""
    from airflow_service.reference_gateway.passwords import LEAST, generated, hashed

    password = sys.stdin.readline().rstrip("\r\n") if given else generated()
    if len(password) < LEAST:
        raise WrongGateway(f"the password is too short: {LEAST} characters at least")
    return password, hashed(password)


def _give(settings: Settings, arguments: argparse.Namespace) -> None:
    name, (cluster, role) = _needed(arguments.user, "--user"), _role(settings, arguments)
    if not Store.open(settings.state).set_role(name, cluster, None if role == NO_ROLE else role):
        raise WrongGateway(f"there is no user {name!r}")


def _role(settings: Settings, arguments: argparse.Namespace) -> tuple[str, str]:
    """The cluster and the role that were asked for."""
    cluster, role = _needed(arguments.cluster, "--cluster"), _needed(arguments.role, "--role")
    if settings.cluster(cluster) is None:
        raise WrongGateway(f"--cluster: the configuration has no {cluster!r}")
    return cluster, role


def _remove(settings: Settings, arguments: argparse.Namespace) -> None:
    name = _needed(arguments.user, "--user")
    if not Store.open(settings.state).remove_user(name):
        raise WrongGateway(f"there is no user {name!r}")


def _rotate(settings: Settings, arguments: argparse.Namespace) -> None:
    from airflow_service.reference_gateway.keys import PUBLISHED_BEFORE, Signer

    store = Store.open(settings.state)
    signer = Signer(store, settings.issuer, settings.assertion_seconds, settings.key_days)
    kid = signer.rotate(time.time(), at_once=arguments.at_once)
    when = "from now on" if arguments.at_once else f"within {PUBLISHED_BEFORE} seconds, when it is known"
    print(f"signs with the key {kid} {when}")


def _needed(value: str | None, option: str) -> str:
    if not value:
        raise WrongGateway(f"{option} is needed")
    return value


_ACTIONS = {
    "run": _serve,
    "users": _list,
    "add-user": _add,
    "remove-user": _remove,
    "set-role": _give,
    "set-password": _set_password,
    "rotate": _rotate,
}
