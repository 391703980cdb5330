"""The rows of Airflow's user table for those whom the gateway names."""

from __future__ import annotations

import time
from typing import Any

from airflow.models import User
from airflow.utils.db import create_session
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from airflow_service.gateway.assertion import Refused
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.roles import Role

# Seconds after which a row is looked at again: an admin may have deleted it.
_FRESH = 300.0
_MOST = 4096
_known: dict[str, tuple[int, str | None, float]] = {}


def ensure_user(identity: Identity) -> int:
    """The id of the row of a subject, which is made on first sight.

    The row holds name and address, and never the role. Raises Refused where the database
    takes the name for somebody else's, as one that compares without case does, or cannot hold it.
    """
    kept = _known.get(identity.subject)
    now = time.monotonic()
    if kept is not None and kept[1] == identity.email and now < kept[2]:
        return kept[0]
    found = _find_or_add(identity)
    if len(_known) >= _MOST:
        _known.clear()
    _known[identity.subject] = (found, identity.email, now + _FRESH)
    return found


def _find_or_add(identity: Identity) -> int:
    try:
        return _found_or_added(identity)
    except (DataError, OperationalError):
        # MySQL's and MariaDB's utf8 has no room for what lies beyond the first plane of Unicode.
        if max(identity.subject) <= "\uffff":
            raise
        raise Refused("user", f"the database cannot hold the name {identity.subject!r}", 403) from None


def _found_or_added(identity: Identity) -> int:
    with create_session() as session:
        row = _row(session, identity.subject)
        if row is None:
            try:
                session.add(User(username=identity.subject, email=identity.email, superuser=False))
                session.commit()
            except IntegrityError:  # another worker was first
                session.rollback()
            row = _row(session, identity.subject)
        if row is None or row.username != identity.subject:
            raise Refused("user", f"{identity.subject!r} cannot be told from another user", 403)
        if identity.email is not None and row.email != identity.email:
            row.email = identity.email
        return int(row.id)


def _row(session: Any, subject: str) -> Any:
    return session.query(User).filter(User.username == subject).first()


class GatewayUser:
    """Flask-Login's and Airflow's idea of a user, for one request."""

    is_active = True
    is_authenticated = True
    is_anonymous = False
    # Upstream filters by these where owner_mode is ldapgroup; the gateway's groups are roles here.
    ldap_groups: tuple[str, ...] = ()

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.username = identity.subject
        self.name = identity.name
        self.email = identity.email
        self._user: Any = None

    @property
    def id(self) -> int:
        """The row's id."""
        return ensure_user(self.identity)

    @property
    def user(self) -> Any:
        """What upstream reads a name from: a row that belongs to no session, and asks no database."""
        if self._user is None:
            self._user = User(id=self.id, username=self.username, email=self.email, superuser=False)
        return self._user

    def get_id(self) -> str:
        """For Flask-Login."""
        return self.username

    def is_superuser(self) -> bool:
        """Whether the Admin menu is this user's."""
        return self.identity.role is Role.ADMIN

    def data_profiling(self) -> bool:
        """Whether Data Profiling is: who may query any connection is an admin."""
        return self.identity.role is Role.ADMIN
