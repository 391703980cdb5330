"""Names and headers of what is on the CDN: the contract with the webservers, and with every later version."""

from __future__ import annotations

ASSETS = "a/"
MANIFESTS = "manifests/"
# HTTP's name of an encoding, and the suffix of its objects.
SUFFIXES = {"br": ".br", "gzip": ".gz"}
# A hashed name never means other bytes.
IMMUTABLE = "public, max-age=31536000, immutable"
# A manifest that was missing may be there now, and one that was pruned is gone.
ALWAYS_ASK = "no-cache"


def manifest_key(version: str) -> str:
    return f"{MANIFESTS}{version}.json"
