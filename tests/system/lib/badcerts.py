"""Certificates that a peer must not accept, for the tests of what it says then."""


class World:
    """Certificates of every bad kind."""

    def __init__(self, pki, tmp_path_factory):
        def directory(name):
            return str(tmp_path_factory.mktemp(name))

        # All leafs are called site-a.example, so each needs a directory: an intermediate in it.
        def elsewhere(name):
            return type(pki)(directory(name), name, parent=pki)
        self.pki, self.foreign = pki, type(pki)(directory("foreign"), "foreign")
        self.expired = elsewhere("expired").expired("site-a.example")
        self.future = elsewhere("future").not_yet_valid("site-a.example")
        self.stranger = self.foreign.leaf("site-a.example")
