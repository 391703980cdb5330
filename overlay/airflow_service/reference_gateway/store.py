"""What the reference gateway knows: users, their roles, sessions, and failed logins, in SQLite."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_service.gateway.roles import Role
from airflow_service.reference_gateway.settings import WrongGateway

ROLES = tuple(role.value for role in reversed(Role))
"""From the least to the most."""
# Failed logins that are let through in WINDOW seconds: of one user from one address, from one
# address, and of one user from everywhere. The last is high, so that a stranger cannot lock
# somebody out without many addresses.
WINDOW = 900
LIMITS = {"user = :user AND address = :address": 5, "address = :address": 30, "user = :user": 100}

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, password TEXT) STRICT;
CREATE TABLE IF NOT EXISTS roles (
    user TEXT NOT NULL REFERENCES users ON DELETE CASCADE, cluster TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN {ROLES}), PRIMARY KEY (user, cluster)) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    token TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    began REAL NOT NULL, seen REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS failures (user TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS failures_of_addresses ON failures (address, user);
CREATE INDEX IF NOT EXISTS failures_of_users ON failures (user);
CREATE INDEX IF NOT EXISTS failures_in_time ON failures (at);
CREATE TABLE IF NOT EXISTS keys (
    kid TEXT PRIMARY KEY, private TEXT, public TEXT NOT NULL, starts REAL NOT NULL, ended REAL) STRICT;
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session holds, in seconds: at most, and without a request."""

    most: float
    idle: float


@dataclass(frozen=True, slots=True)
class Store:
    """The gateway's database, which its user alone may read."""

    path: Path

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The database of a folder, made where it is missing; WrongGateway if others can read it."""
        path = folder / "gateway.db"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            for place in (folder, path):
                if place.stat().st_mode & 0o077:
                    raise WrongGateway(f"{place} is open to others: it holds keys; chmod go= {place}")
            store = cls(path)
            with closing(store._connect()) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise WrongGateway(f"{path} cannot be opened: {error}") from error
        return store

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        database.execute("PRAGMA foreign_keys = ON")
        # A log-out has to hold although the machine fails.
        database.execute("PRAGMA synchronous = FULL")
        return database

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for statements that stand alone."""
        with closing(self._connect()) as database:
            yield database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in the midst of."""
        with closing(self._connect()) as database, database:
            database.execute("BEGIN IMMEDIATE")
            yield database

    # Users and roles

    def users(self) -> list[tuple[str, bool, dict[str, str]]]:
        """Each user's name, whether there is a password, and the roles by cluster."""
        with self.reading() as database:
            found = database.execute("SELECT name, password IS NOT NULL FROM users ORDER BY name").fetchall()
        return [(name, bool(known), self.roles(name)) for name, known in found]

    def add_user(self, name: str, password: str | None) -> bool:
        """Make a user, with a password's hash or none; False if the name is taken."""
        with self.writing() as database:
            made = database.execute("INSERT OR IGNORE INTO users VALUES (?, ?)", (name, password))
            return made.rowcount == 1

    def remove_user(self, name: str) -> bool:
        """Remove a user with roles and sessions; False if there is none."""
        with self.writing() as database:
            return database.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1

    def password(self, name: str) -> str | None:
        """The hash of a user's password."""
        with self.reading() as database:
            row = database.execute("SELECT password FROM users WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_password(self, name: str, password: str) -> bool:
        """Replace a user's password, by a hash, and end all sessions; False for who has none."""
        with self.writing() as database:
            found = database.execute(
                "UPDATE users SET password = ? WHERE name = ? AND password IS NOT NULL", (password, name)
            )
            database.execute("DELETE FROM sessions WHERE user = ?", (name,))
            return found.rowcount == 1

    def is_external(self, name: str) -> bool:
        """Whether there is such a user, and one without a password: one who logs in elsewhere."""
        with self.reading() as database:
            row = database.execute("SELECT password IS NULL FROM users WHERE name = ?", (name,)).fetchone()
        return bool(row and row[0])

    def set_role(self, name: str, cluster: str, role: str | None) -> bool:
        """Give a user a role in a cluster, or none; False if there is no such user."""
        with self.writing() as database:
            if not database.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone():
                return False
            if role is None:
                database.execute("DELETE FROM roles WHERE user = ? AND cluster = ?", (name, cluster))
            else:
                database.execute("INSERT OR REPLACE INTO roles VALUES (?, ?, ?)", (name, cluster, role))
            return True

    def roles(self, name: str) -> dict[str, str]:
        """A user's role in each cluster that there is one for."""
        with self.reading() as database:
            found = database.execute("SELECT cluster, role FROM roles WHERE user = ?", (name,))
            return dict(found.fetchall())

    # Sessions: the database has the hashes of their tokens only.

    def begin_session(self, user: str, now: float, life: Lifetime) -> str:
        """A new session's token, for the user's cookie."""
        token = secrets.token_urlsafe(32)
        with self.writing() as database:
            database.execute(
                "DELETE FROM sessions WHERE began < ? OR seen < ?", (now - life.most, now - life.idle)
            )
            database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (_hashed(token), user, now, now))
        return token

    def session_user(self, token: str, now: float, life: Lifetime) -> str | None:
        """Whose session it is, if it holds still; it was used now."""
        hashed = _hashed(token)
        with self.reading() as database:
            row = database.execute(
                "SELECT user, seen FROM sessions WHERE token = ? AND began > ? AND seen > ?",
                (hashed, now - life.most, now - life.idle),
            ).fetchone()
            if row and now - row[1] > min(60, life.idle / 10):
                # No more often: this is asked for each request.
                database.execute("UPDATE sessions SET seen = ? WHERE token = ?", (now, hashed))
        return str(row[0]) if row else None

    def end_session(self, token: str) -> None:
        """From now on the token opens nothing."""
        with self.writing() as database:
            database.execute("DELETE FROM sessions WHERE token = ?", (_hashed(token),))

    # Failed logins

    def try_login(self, user: str, address: str, now: float) -> bool:
        """Count a try as failed before it is made; False if there were too many."""
        who = {"user": user, "address": _network(address)}
        with self.writing() as database:
            database.execute("DELETE FROM failures WHERE at < ?", (now - WINDOW,))
            for condition, limit in LIMITS.items():
                counted = database.execute(f"SELECT count(*) FROM failures WHERE {condition}", who)
                if counted.fetchone()[0] >= limit:
                    return False
            database.execute("INSERT INTO failures VALUES (:user, :address, :now)", {**who, "now": now})
        return True

    def forgive(self, user: str, address: str) -> None:
        """A try succeeded: what this user did wrong from there is forgotten."""
        with self.writing() as database:
            database.execute("DELETE FROM failures WHERE user = ? AND address = ?", (user, _network(address)))

    def secret(self, name: str) -> str:
        """A random text that stays the same; made when it is first asked for."""
        with self.writing() as database:
            database.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, secrets.token_urlsafe(32)))
            found = database.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
            return str(found[0])


def _network(address: str) -> str:
    """What counts as one address: of IPv6 a /64, since who has one of its addresses has them all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
