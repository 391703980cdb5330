"""A control plane small enough to read: who someone is, and which role each cluster gives them.

For the demo and the tests, and as the reference of what nginx asks and a webserver gets. It has
one process and one SQLite file, and is no product: an identity provider of your own does more.
"""
