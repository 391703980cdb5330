"""A plugin that asks for what newer releases of its dependencies no longer have."""

from flask import Markup_of_old  # noqa: F401
