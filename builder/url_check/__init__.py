"""The URL check: no URL of the webserver is written by hand.

It reads the patched tree: Python by its syntax tree, templates through Jinja's own
parser and then as HTML, JavaScript through tree-sitter. What reads as a URL is said
in docs/patch-author.md. Nothing here knows which release the tree is: routes are
what the tree's own Python declares.
"""

from builder.url_check.check import Checked, Scope, check_tree, find, scope
from builder.url_check.exceptions import FILE_NAME as EXCEPTIONS

__all__ = ["EXCEPTIONS", "Checked", "Scope", "check_tree", "find", "scope"]
