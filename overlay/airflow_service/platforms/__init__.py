"""The outside platforms that are known here: their APIs and pages, and what Airflow's own code lacks for them."""
