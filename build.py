#!/usr/bin/env python3
"""Build the patched Airflow distribution: ./build.py --help"""

import sys

# Old Pythons read this file too: it must stay within what they can parse.
if sys.version_info < (3, 11):
    sys.stderr.write(
        "error: this is Python %d.%d, and the build needs 3.11 or later\n"
        "usual cause: `python3` is the system's older one\n"
        "next: make PYTHON=python3.11, or python3.11 build.py\n" % sys.version_info[:2]
    )
    sys.exit(24)

from builder.bootstrap import enter

enter("build")

from builder.cli import main

sys.exit(main())
