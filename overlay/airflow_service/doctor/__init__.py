"""`airflow-service doctor`: what is configured, and what is wrong with it.

Each check is a generator of facts and findings, in a module of its kind. It
reads and never writes: no airflow.cfg, no database, no log folder comes to be.
"""
