#!/usr/bin/env python3
"""Build the patched Airflow distribution: ./build.py --help"""

import sys

# Old Pythons read this file too, and builder/__init__.py, which tells them that they
# are too old: both must stay within what they can parse.
from builder.bootstrap import enter

# Those that speak with the CDN's store start no other program.
enter("build", stay=sys.argv[1:2] in (["publish"], ["verify"], ["prune"]))

from builder.cli import main

sys.exit(main())
