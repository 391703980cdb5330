"""Network namespaces and tun devices, through the kernel's own calls.

A namespace has no name: it is a file descriptor, and the kernel removes it with
all that is in it when the last process that uses it ends. So nothing is left
behind, not even by a benchmark that was killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_TUNSETIFF = 0x400454CA  # linux/if_tun.h, as are the flags
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_OWN = "/proc/thread-self/ns/net"

_SETTINGS = {
    # A cold load must not begin with what the kernel learned of the path in the last one.
    "net/ipv4/tcp_no_metrics_save": "1",
    "net/ipv6/conf/all/disable_ipv6": "1",
}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """This thread, and the processes that it starts meanwhile, are in the namespace."""
    own = os.open(_OWN, os.O_RDONLY)
    try:
        _call(_libc.setns(namespace, _CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            _call(_libc.setns(own, _CLONE_NEWNET), "setns")
    finally:
        os.close(own)


def new_namespace() -> int:
    """A network namespace with a loopback; returns its file descriptor. OSError without the right to it."""
    own = os.open(_OWN, os.O_RDONLY)
    try:
        _call(_libc.unshare(_CLONE_NEWNET), "unshare")
        try:
            made = os.open(_OWN, os.O_RDONLY)
            _ip("link", "set", "lo", "up")
            for name, value in _SETTINGS.items():
                if (setting := Path("/proc/sys", name)).exists():
                    setting.write_text(value)
        finally:
            _call(_libc.setns(own, _CLONE_NEWNET), "setns")
    finally:
        os.close(own)
    return made


def new_device(namespace: int, name: str, address: str, peer: str) -> int:
    """A tun device in a namespace, up, with an address and the other end's; returns its descriptor."""
    with inside(namespace):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
        _ip("address", "add", address, "dev", name)
        # A whole window may come at once; a device drops what does not fit its queue.
        _ip("link", "set", name, "up", "mtu", "1500", "txqueuelen", "10000")
        # The usual congestion control, whatever this machine's own is.
        _ip("route", "add", peer, "dev", name, "congctl", "cubic")
    return device


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
