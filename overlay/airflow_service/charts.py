"""nvd3's charts, for pages that run no script without a nonce.

The views take this module for `nvd3`: each chart class is there under its name.
"""

from __future__ import annotations

from typing import Any

import nvd3

from airflow_service.page_headers import nonce

# A chart asks for jQuery, which a page loads at its end. The view of task durations adds code before
# the last "});", which must stay the chart's own.
_WHEN_LOADED = """
(function () {
  function draw() {
%s
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", draw);
  else draw();
}());
"""


class _PageChart:
    """A chart whose script carries the page's nonce, and whose data cannot end the script."""

    htmlcontent: str

    def buildcontent(self) -> None:
        """Write `htmlcontent`, as nvd3 does: the place of the chart, then its script."""
        chart: Any = self
        chart.tag_script_js = chart.display_container = False
        super().buildcontent()  # type: ignore[misc]  # nvd3's classes have no types
        script = _WHEN_LOADED % self.htmlcontent
        self.htmlcontent = f'{chart.container}\n<script nonce="{nonce()}">{script}</script>\n'

    def buildjschart(self) -> None:
        """Write the chart's data: JSON in a script, in which no `<` may stand."""
        super().buildjschart()  # type: ignore[misc]
        chart: Any = self
        chart.series_js = chart.series_js.replace("<", "\\u003c")


def _page_chart(name: str) -> type:
    return type(name, (_PageChart, getattr(nvd3, name)), {})


__all__ = list(nvd3.__all__)
globals().update({name: _page_chart(name) for name in __all__})
