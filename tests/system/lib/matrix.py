"""What strongSwan and warren call the same algorithms, and the table of what works between them."""

import itertools

KE = {"x25519": "CURVE_25519", "ecp256": "ECP_256", "ecp384": "ECP_384", "ecp521": "ECP_521",
      "modp2048": "MODP_2048"}
_ENCR = {("AES_GCM_16", "128"): "aes128gcm16", ("AES_GCM_16", "192"): "aes192gcm16",
         ("AES_GCM_16", "256"): "aes256gcm16", ("CHACHA20_POLY1305", None): "chacha20poly1305",
         ("AES_CBC", "128"): "aes128", ("AES_CBC", "192"): "aes192", ("AES_CBC", "256"): "aes256"}
_INTEG = {None: None, "HMAC_SHA2_256_128": "sha256", "HMAC_SHA2_384_192": "sha384",
          "HMAC_SHA2_512_256": "sha512"}
_PRF = {f"PRF_HMAC_SHA2_{bits}": f"prfsha{bits}" for bits in (256, 384, 512)}
_KE = {None: None, **{charon: word for word, charon in KE.items()}}


def ike_suite(sa):
    """A proposal in keywords, from what strongSwan lists of an IKE SA."""
    return "-".join(filter(None, (*_cipher(sa), _PRF[sa["prf-alg"]], _KE[sa["dh-group"]])))


def esp_suite(child):
    """The same of a child SA."""
    esn = "esn" if child.get("esn") == "1" else None
    return "-".join(filter(None, (*_cipher(child), _KE[child.get("dh-group")], esn)))


def _cipher(sa):
    return (_ENCR[sa["encr-alg"], sa.get("encr-keysize")], _INTEG[sa.get("integ-alg")])


# ---- the table

PROPERTY = "matrix"
_serial = itertools.count()
WIDTH = 120


def cell(record_property, table, row, column, text="ok"):
    """Say at the start of a test which cell of which table it decides, and what the cell says when
    it passes."""
    record_property(PROPERTY, (next(_serial), table, row, column, text))


def tables(reports):
    """Text lines of all tables, from pytest's reports with their outcomes."""
    cells = [(value, outcome == "passed") for outcome, report in reports
             for key, value in report.user_properties if key == PROPERTY]
    found = {}
    for (_, table, row, column, text), passed in sorted(cells):
        line = found.setdefault(table, {}).setdefault(row, {})
        # A test that passes and then cannot clean up has failed, too.
        line[column] = text if passed and line.get(column) != "FAILED" else "FAILED"
    return [line for title, rows in found.items() for line in _render(title, rows)]


def _render(title, rows):
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    reasons = []
    grid = [["", *columns]] + [[row, *(_short(cells.get(column, "-"), reasons)
                                       for column in columns)] for row, cells in rows.items()]
    widths = [max(len(line[i]) for line in grid) for i in range(len(columns) + 1)]
    lines = ["", title]
    for part in _parts(widths):
        lines += ["  ".join(line[i].ljust(widths[i]) for i in part).rstrip() for line in grid]
    return lines + [f"  [{number}] {reason}" for number, reason in enumerate(reasons, 1)]


def _parts(widths):
    """Columns, beside the first, that fit beside each other, and so on until there are no more."""
    part, at = [0], 1
    while at < len(widths):
        if len(part) > 1 and sum(widths[i] + 2 for i in (*part, at)) - 2 > WIDTH:
            yield part
            part = [0]
        part.append(at)
        at += 1
    yield part


def _short(text, reasons):
    """What is more than a word or two becomes a footnote."""
    if len(text) <= 16:
        return text
    if text not in reasons:
        reasons.append(text)
    return f"[{reasons.index(text) + 1}]"
