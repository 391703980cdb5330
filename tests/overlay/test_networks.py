"""Lists of addresses and networks."""

from __future__ import annotations

import pytest
from airflow_service.networks import Networks


def test_addresses_and_networks_are_known() -> None:
    """IPv4 and IPv6, and IPv4 as a socket for both shows it."""
    known = Networks.parse("127.0.0.0/8, ::1 10.1.2.3")
    for address in ("127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "::ffff:10.1.2.3"):
        assert address in known
    for address in ("10.1.2.4", "::2", "", "localhost", "127.0.0.1, 10.1.2.3", "unix:"):
        assert address not in known
    assert str(known) == "127.0.0.0/8, ::1/128, 10.1.2.3/32"
    assert Networks.parse(str(known)) == known


def test_nobody_is_known_to_an_empty_list() -> None:
    """Nothing is trusted where nothing is named."""
    assert "127.0.0.1" not in Networks.parse("")


@pytest.mark.parametrize(
    "text",
    ["localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8; ::1", "*", "fe80::1%x;", "::ffff:10.0.0.1"],
)
def test_wrong_lists_are_refused(text: str) -> None:
    """With the word that is wrong; host bits in a network are a slip of the pen."""
    with pytest.raises(ValueError, match="is neither an address nor a network"):
        Networks.parse(text)
