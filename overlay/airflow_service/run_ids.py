"""The ids of DAG runs that somebody may choose from outside.

Templates render `run_id` into commands, an example DAG of the release into a shell's. So
the webserver takes only such as mean nothing to a shell, a page or a path.
"""

from __future__ import annotations

import re
from typing import Any

from airflow.exceptions import AirflowBadRequest
from wtforms.validators import ValidationError  # type: ignore[import-untyped]

# What Airflow's own ids are made of; Airflow 2.6's `allowed_run_id_pattern` allows the same.
_PLAIN = re.compile(r"[A-Za-z0-9_.~:+-]+")
_WRONG = "A run id holds the characters A-Z a-z 0-9 _ . ~ : + - only"


def plain_run_id(given: Any) -> str | None:
    """The id that a request asks for; None if it leaves the choice to Airflow. Raises AirflowBadRequest."""
    if given is None or given == "":
        return None
    if not isinstance(given, str) or not _PLAIN.fullmatch(given):
        raise AirflowBadRequest(_WRONG)
    return given


def check_run_id(_form: Any, field: Any) -> None:
    """A form's validator. The id of a run that was made elsewhere may stay as it is. Raises ValidationError."""
    if field.data and field.data != field.object_data and not _PLAIN.fullmatch(field.data):
        raise ValidationError(_WRONG + ".")
