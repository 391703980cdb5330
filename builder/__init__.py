"""Build-time code: a pinned Airflow release becomes a wheel and an asset bundle."""

import sys

# Whatever is started of this package, this file is read first, and by old Pythons
# too: it must stay within what they can parse.
if sys.version_info < (3, 11):
    sys.stderr.write(
        "error: this is Python %d.%d, and the build needs 3.11 or later\n"
        "usual cause: `python3` is the system's older one\n"
        "next: make PYTHON=python3.11, or python3.11 build.py\n" % sys.version_info[:2]
    )
    sys.exit(24)
