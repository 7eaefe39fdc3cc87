"""Which network addresses belong to the public internet, and which to this machine, this network, or a disguise of either."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_REFUSED_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; cloud metadata lives here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # with broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking and other special uses
        "2001:db8::/32",
        "2002::/16",  # 6to4: holds any IPv4 address
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Return whether an address belongs to the public internet.

    False for private, loopback, link-local, multicast, carrier-grade NAT, documentation and reserved addresses, and for the
    IPv6 forms that carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo).

    Source: the IANA special-purpose address registries (RFC 6890 and its successors).
    """
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _REFUSED_4)
    return found.scope_id is None and found in _PUBLIC_6 and not any(found in network for network in _REFUSED_6)
