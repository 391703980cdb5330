"""The audit log, without what it has caught of secrets.

Its column `extra` holds command lines and the parameters of requests, and with
them values of variables (`airflow variables --set`), passwords of connections
(`airflow connections --add --conn_password`, `--conn_uri`) and tokens. So who may
not open those views does not see it, and cannot find out by filters or the order
of rows what it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_service.gateway.access import may

HIDDEN_COLUMN = "extra"

if TYPE_CHECKING:
    _ModelView = Any
else:
    _ModelView = object


class AuditLogByRole(_ModelView):  # type: ignore[misc]  # Flask-Admin carries no types
    """For the Flask-Admin view of the log; stands before ModelView among its bases."""

    def get_list(
        self,
        page: Any,
        sort_column: Any,
        sort_desc: Any,
        search: Any,
        filters: Any,
        *more: Any,
        **options: Any,
    ) -> Any:
        """As Flask-Admin's, without filters on the hidden column and without its order."""
        if _hides():
            filters = [one for one in filters or () if self._filters[one[0]].column.key != HIDDEN_COLUMN]
            sort_column = None if sort_column == HIDDEN_COLUMN else sort_column
        return super().get_list(page, sort_column, sort_desc, search, filters, *more, **options)

    def _get_list_value(self, context: Any, model: Any, name: str, *more: Any) -> Any:
        # The list, an entry's page and the exports all take their values from here.
        return (
            "" if name == HIDDEN_COLUMN and _hides() else super()._get_list_value(context, model, name, *more)
        )


def _hides() -> bool:
    return not (may("variable.index_view") and may("connection.index_view"))
