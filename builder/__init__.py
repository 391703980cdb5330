"""Build-time code: a pinned Airflow release becomes a wheel and an asset bundle."""
