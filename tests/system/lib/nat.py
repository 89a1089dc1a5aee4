"""A masquerading router: a namespace with the devices `in` and `out`."""


class Nat:
    """The cable from `out` to the underlay router is made here, that to `in` by whoever lives
    behind it; plug() comes then. inside and outside: three octets; behind `inside`.1 all share
    `outside`.1."""

    def __init__(self, lab, short, underlay, dev, inside, outside, ports, offload=False):
        self.ns = lab.netns(short)
        self.inside, self.outside = inside, outside
        lab.veth(self.ns, "out", underlay, dev, offload=offload)
        underlay.ip("addr", "add", f"{outside}.254/24", "dev", dev)
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.ns.ip("addr", "add", f"{outside}.1/24", "dev", "out")
        self._route()
        self.masquerade(ports)

    def plug(self):
        self.ns.ip("addr", "add", f"{self.inside}.1/24", "dev", "in")

    def _route(self):
        self.ns.ip("route", "add", "default", "via", f"{self.outside}.254", "dev", "out")

    def forget(self, ports):
        """Lose all mappings, and hand out ports of another range from now on: taking the device
        down makes masquerade drop its connections."""
        self.ns.ip("link", "set", "out", "down")
        self.masquerade(ports)
        self.ns.ip("link", "set", "out", "up")
        self._route()

    def masquerade(self, ports, udp_timeout=None):
        """Source ports are rewritten always, so 4500 never survives by chance.

        udp_timeout is the router's patience with a quiet mapping in seconds. The input drop keeps
        early packets of the other side from taking our port in the connection table.
        """
        self.ns.run("nft", "flush", "ruleset")
        self.ns.nft(f"""
            table ip nat {{
                chain post {{
                    type nat hook postrouting priority 100; policy accept;
                    oifname "out" meta l4proto udp masquerade to :{ports}
                    oifname "out" masquerade
                }}
                chain input {{
                    type filter hook input priority 0; policy accept;
                    iifname "out" udp dport {{ 500, 4500, {ports} }} drop
                }}
            }}""")
        if udp_timeout:
            self.ns.sysctl("net.netfilter.nf_conntrack_udp_timeout", udp_timeout)
            self.ns.sysctl("net.netfilter.nf_conntrack_udp_timeout_stream", udp_timeout)
