"""Read Airflow's configuration without importing Airflow.

Importing `airflow` creates AIRFLOW_HOME, airflow.cfg and log folders, runs
plugins, and ends with a traceback when the configuration is wrong. This reads
the same values, in the same order of precedence, and touches nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, InterpolationError, ParsingError
from configparser import Error as ParserError
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

_COMMAND_TIMEOUT = 10
# Upstream's `sensitive_config_values` and `deprecated_options`, as far as we read them.
_OLD_NAMES = {
    ("celery", "broker_url"): "celery_broker_url",
    ("celery", "result_backend"): "celery_result_backend",
}
_FROM_COMMAND = frozenset({("core", "sql_alchemy_conn"), ("core", "fernet_key"), *_OLD_NAMES})

_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)

DEFAULT = "default"


class UnreadableValue(Exception):
    """A value that is set, but cannot be known; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Value:
    """The text of a setting, and where it was set."""

    text: str
    source: str

    @property
    def origin(self) -> str:
        """Where it was set, as a sentence."""
        return "It is the default." if self.source == DEFAULT else f"It was set by {self.source}."


def _parser() -> ConfigParser:
    parser = ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # upstream keeps case too
    return parser


@dataclass(frozen=True, slots=True)
class Configuration:
    """Airflow's configuration: environment, then airflow.cfg, then defaults."""

    home: Path
    file: Path
    environment: Mapping[str, str]
    in_file: ConfigParser = field(default_factory=_parser)
    defaults: ConfigParser = field(default_factory=_parser)
    trouble: str | None = None
    """Why the file cannot be read, if it exists and cannot."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Configuration:
        """Read it as `import airflow` would; a broken file is told, not raised."""
        environment = dict(os.environ if environment is None else environment)
        home = Path(_expand(environment.get("AIRFLOW_HOME", "~/airflow"), environment))
        file = Path(_expand(environment.get("AIRFLOW_CONFIG", str(home / "airflow.cfg")), environment))
        in_file, trouble = _parser(), None
        try:
            in_file.read_string(file.read_text(encoding="utf-8"), source=str(file))
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError, ParserError) as error:
            in_file, trouble = _parser(), _without_quotes(error)
        return cls(home, file, environment, in_file, _defaults(home), trouble)

    def get(self, section: str, key: str, *, command_allowed: bool = False) -> Value | None:
        """The value in force, expanded; None if neither set nor known to Airflow.

        Raises UnreadableValue.
        """
        names = [key, *filter(None, [_OLD_NAMES.get((section, key))])]
        from_command = command_allowed or (section, key) in _FROM_COMMAND
        for looks_up in (self._from_environment, self._from_file):
            for name in names:
                value = looks_up(section, name, from_command)
                if value is not None:
                    return value
        if self.defaults.has_option(section, key):
            return Value(_expand(self.defaults.get(section, key), self.environment), DEFAULT)
        return None

    def set_names(self, section: str) -> Iterator[Value]:
        """The names that are set in a section, known or not, with their sources."""
        if self.in_file.has_section(section):
            for name in self.in_file.options(section):
                if name not in self.in_file.defaults():
                    yield Value(name, str(self.file))
        for variable in self.variables(section):
            if variable == variable.upper():
                yield Value(variable.split("__", 2)[2].lower(), f"environment variable {variable}")

    def variables(self, section: str) -> list[str]:
        """The environment variables of a section; those not in upper case do nothing."""
        prefix = f"AIRFLOW__{section.upper()}__"
        return [name for name in sorted(self.environment) if name.upper().startswith(prefix)]

    def _from_environment(self, section: str, key: str, from_command: bool) -> Value | None:
        variable = f"AIRFLOW__{section.upper()}__{key.upper()}"
        if variable in self.environment:
            text = _expand(self.environment[variable], self.environment)
            return Value(text, f"environment variable {variable}")
        if from_command and f"{variable}_CMD" in self.environment:
            source = f"environment variable {variable}_CMD"
            return Value(self._run(self.environment[f"{variable}_CMD"], source), source)
        if from_command and f"{variable}_SECRET" in self.environment:
            raise UnreadableValue(f"environment variable {variable}_SECRET: it is in the secrets backend")
        return None

    def _from_file(self, section: str, key: str, from_command: bool) -> Value | None:
        source = str(self.file)
        try:
            if self.in_file.has_option(section, key):
                return Value(_expand(self.in_file.get(section, key), self.environment), source)
            if from_command and self.in_file.has_option(section, f"{key}_cmd"):
                source = f"{source}, {key}_cmd"
                return Value(self._run(self.in_file.get(section, f"{key}_cmd"), source), source)
        except InterpolationError:
            # The parser's own message quotes the value, which may be a secret.
            raise UnreadableValue(
                f"{source}: the value of {key} holds a lone %, which has to be written %%"
            ) from None
        if from_command and self.in_file.has_option(section, f"{key}_secret"):
            raise UnreadableValue(f"{source}, {key}_secret: it is in the secrets backend")
        return None

    def _run(self, command: str, source: str) -> str:
        try:
            done = subprocess.run(
                shlex.split(command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_TIMEOUT,
                check=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise UnreadableValue(f"{source}: the command failed ({type(error).__name__})") from None
        return done.stdout.decode(errors="ignore")


def _without_quotes(error: Exception) -> str:
    """What is wrong with the file, without its lines, which may hold secrets."""
    if isinstance(error, ParsingError):
        # Its subclasses stop at one line, and have no list of errors.
        lines = [error.lineno] if hasattr(error, "lineno") else [line for line, _ in error.errors]
        return f"neither a setting nor a [section]: line {', '.join(map(str, lines))}"
    return str(error).replace("\n", " ")


def airflow_package() -> Path | None:
    """Where the package `airflow` lies; it is looked for, not imported."""
    spec = find_spec("airflow")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _defaults(home: Path) -> ConfigParser:
    """Upstream's default_airflow.cfg; empty if Airflow is not installed."""
    parser = _parser()
    package = airflow_package()
    if package is not None:
        template = (package / "config_templates" / "default_airflow.cfg").read_text(encoding="utf-8")
        # FERNET_KEY and SECRET_KEY are made up at each import: not a setting.
        parser.read_string(template.format_map(defaultdict(str, AIRFLOW_HOME=str(home))))
    return parser


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """Expand `~` and variables until nothing changes, as upstream does."""
    for _ in range(20):  # upstream has no bound, and hangs on A='$A$A'
        # Not Path.expanduser: it would take one slash from https://.
        expanded = os.path.expanduser(_expand_variables(text, environment))  # noqa: PTH111
        if expanded == text:
            break
        text = expanded
    return text


def _expand_variables(text: str, environment: Mapping[str, str]) -> str:
    """`os.path.expandvars`, for an environment that need not be the process's."""
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2] or "", found[0]), text)
