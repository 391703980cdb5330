"""The overlay, imported from the checkout: what runs on a cluster's nodes."""

from __future__ import annotations

import sys
from pathlib import Path

# The environment of the tests has no Airflow, and so no overlay installed.
sys.path.insert(0, str(Path(__file__).parents[2] / "overlay"))
