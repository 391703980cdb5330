"""Read the text of a setting as a value; ValueError says what is wrong with it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_CLUSTER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")
# RFC 3986's pchar and "/", with each % followed by two hexadecimal digits.
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
# Servers and proxies disagree on whether these are separators and steps upwards.
_HIDDEN_STEP = re.compile(r"%(?:2f|5c|2e)", re.IGNORECASE)
_POLICY_MODES = frozenset({"enforce", "report-only", "off"})
# What no program escapes: not in a URL, a cookie's path, nginx's configuration or a script.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_SAME_SITE = ("", "Strict", "Lax", "None")
_TRUE, _FALSE = frozenset({"t", "true", "1"}), frozenset({"f", "false", "0"})


def cluster_id(text: str) -> str:
    """A name that can stand in a file name, a cookie name and an object key."""
    if text and not _CLUSTER_ID.fullmatch(text):
        raise ValueError("it holds other characters, or is too long")
    return text


def cdn_url(text: str) -> str:
    """An absolute URL without a trailing slash, or the empty string."""
    if not text:
        return ""
    url = web_url(text)
    if url.netloc.startswith("["):
        raise ValueError("its host is an IPv6 address, which no Content-Security-Policy can name: give it a name")
    if "_" in url.netloc:
        raise ValueError("its host has an underscore, which no Content-Security-Policy can name: give it another")
    return url.geturl().rstrip("/")


def base_url(text: str) -> SplitResult:
    """Where browsers find the webserver: a web URL with a plain path; a slash at its end is dropped."""
    url = web_url(text)
    if not _PLAIN_PATH.fullmatch(url.path):
        raise ValueError("its path holds other characters than A-Z a-z 0-9 . _ ~ - and /")
    return url._replace(path=url.path.rstrip("/"))


def web_url(text: str) -> SplitResult:
    """An absolute http or https URL that no two programs read differently."""
    if not text.isascii() or any(character <= " " or character == "\x7f" for character in text):
        raise ValueError("it holds a space, a control character or a character outside ASCII")
    url = urlsplit(text)
    if url.scheme not in ("http", "https"):
        raise ValueError("it does not begin with http:// or https://")
    if "@" in url.netloc:
        raise ValueError("it holds a user name or a password")
    if "?" in text:
        raise ValueError("it holds a query (?)")
    if "#" in text:
        raise ValueError("it holds a fragment (#)")
    _check_authority(url)
    _check_path(url.path)
    return url


def _check_authority(url: SplitResult) -> None:
    host, colon, port = url.netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = url.netloc, ""
    elif not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("its port is not a number from 1 to 65535")
    if not _HOST.fullmatch(host) or ".." in host:
        raise ValueError("it names no host, or one that is not well-formed")


def _check_path(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise ValueError("its path holds a character that must be percent-encoded")
    if "//" in path:
        raise ValueError("its path holds //")
    if any(step in (".", "..") for step in path.split("/")):
        raise ValueError("its path holds a step . or ..")
    if _HIDDEN_STEP.search(path):
        raise ValueError("its path holds an encoded slash, backslash or dot")


def cdn_check_interval(text: str) -> float:
    """Seconds; with 15 an outage of the CDN is noticed within a minute."""
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError("it is no number") from None
    if not 1 <= seconds <= 15:
        raise ValueError("it is too small or too large")
    return seconds


def policy_mode(text: str) -> str:
    """What is done about the pages' Content-Security-Policy."""
    if text not in _POLICY_MODES:
        raise ValueError("it is none of these")
    return text


def address(text: str) -> str:
    """An IP address to listen on."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("it is no IP address") from None


def same_site(text: str) -> str:
    """A cookie's SameSite. Nothing, which Airflow 1.10.15 wrote into each airflow.cfg, is Lax."""
    if text not in _SAME_SITE:
        raise ValueError("it is none of the policies")
    return text or "Lax"


def boolean(text: str) -> bool:
    """A truth value, by the words and the comment rule of upstream's getboolean."""
    word = text.lower().split("#")[0].strip()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("it is neither True nor False")
