"""What this distribution adds to Airflow at run time.

Importing this package imports nothing else: upstream code that calls into it
pays for what it calls only.
"""
