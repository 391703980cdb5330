"""`python -m airflow_service` is the command `airflow-service`."""

import sys

from airflow_service.cli import main

if __name__ == "__main__":
    sys.exit(main())
