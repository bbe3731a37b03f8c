"""The table of public addresses; all others are denied.

The standard library's ``is_global`` is not sufficient: on the supported Pythons it is true for
translated IPv4 (NAT64, 6to4), for multicast, and for metadata services within public ranges.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

IPAddress = IPv4Address | IPv6Address

# All other IPv6 is denied: mapped, compatible and translated IPv4 (::/96, ::ffff:0:0/96,
# 64:ff9b::/96, 64:ff9b:1::/48), fc00::/7, fe80::/10, ff00::/8 and 5f00::/16.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers, and by cloud metadata services
        "127.0.0.0/8",  # loopback; the Lambda Runtime API listens there
        "168.63.129.16/32",  # Azure's wire server, in the middle of a public range
        "169.254.0.0/16",  # link-local: metadata and credentials
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata at .192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 in disguise
        "2620:4f:8000::/48",  # AS112
        "2d00::/8",  # reserved by IANA, as are the next two
        "2e00::/7",
        "3000::/4",  # documentation (3fff::/20) and the returned 3ffe::/16 within
    )
)
# ISATAP: IPv4 in the lower half of an address under any prefix (RFC 5214, 6.1).
_ISATAP_MASK, _ISATAP = 0xFDFFFFFF, 0x00005EFE


def is_public(address: IPAddress) -> bool:
    """Return whether an address is global unicast."""
    if isinstance(address, IPv6Address):
        isatap = int(address) >> 32 & _ISATAP_MASK == _ISATAP
        if isatap or address not in _GLOBAL_UNICAST:
            return False
    return not any(address in network for network in _SPECIAL)
