"""IKE stopped on its way, ESP not: what both ends ask for meanwhile collides for certain."""

_RULES = """
    table inet held {
        counter from_a { }
        counter from_b { }
        chain underlay {
            type filter hook prerouting priority -200; policy accept;
            udp dport 4500 @th,64,32 0x0 jump held
            udp dport 500 jump held
        }
        chain held {
            iifname "ua" counter name from_a
            iifname "ub" counter name from_b
            drop
        }
    }"""


class Held:
    """On the underlay router, as a context manager. The first four bytes of a datagram for port
    4500 are zero if it is IKE (RFC 3948 section 2.2). Requests are sent again once it is over."""

    def __init__(self, ns):
        self.ns = ns

    def __enter__(self):
        self.ns.nft(_RULES)
        return self

    def __exit__(self, *exc):
        self.ns.run("nft", "delete", "table", "inet", "held")

    def stopped(self):
        """Whether a message of either end was stopped."""
        listed = self.ns.run("nft", "list", "counters", "table", "inet", "held").stdout
        counts = [int(part.split()[0]) for part in listed.split("packets ")[1:]]
        return len(counts) == 2 and all(counts)
