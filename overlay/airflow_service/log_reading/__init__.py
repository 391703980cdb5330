"""Logs as pages, streams and text: what the UI, the download and `airflow-service logs` read by."""
