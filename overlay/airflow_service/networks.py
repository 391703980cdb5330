"""Sets of IP addresses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses and networks; `address in networks` for an address in text form."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, text: str) -> Networks:
        """Read a list separated by commas or spaces; ValueError names the wrong word."""
        found = []
        for word in text.replace(",", " ").split():
            try:
                found.append(read_network(word))
            except ValueError as error:
                raise ValueError(f"{word!r} is neither an address nor a network ({error})") from None
        return cls(tuple(found))

    def __contains__(self, address: str) -> bool:
        return _lies_in(self.networks, address)

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks))


def read_network(word: str) -> IPv4Network | IPv6Network:
    """An address or a network; ValueError says why a word is neither.

    A zone (`fe80::1%eth0`) says where an address is valid, and Python lets any text stand for one.
    """
    if "%" in word:
        raise ValueError("it has a zone")
    network = ip_network(word)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError("it is an IPv4 address in IPv6's spelling, which is compared as IPv4")
    return network


# The same few proxies send every request.
@lru_cache(maxsize=256)
def _lies_in(networks: tuple[IPv4Network | IPv6Network, ...], address: str) -> bool:
    try:
        given = ip_address(address)
    except ValueError:
        return False
    if isinstance(given, IPv6Address) and given.ipv4_mapped is not None:
        given = given.ipv4_mapped  # how a socket for both families shows a peer of the older one
    return any(given in network for network in networks)
