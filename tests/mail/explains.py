"""Causes of differences, proved from the bytes. Each function returns the names under which differences.tsv explains what
differs between `ours` and `theirs`; nothing when there is more to it than known causes."""
import binascii
import re
import zlib

EMPTY_TEXT = [b"text", b"plain", [[b"charset", b"us-ascii"]], None, None, b"7bit", 0, 0]
NO_FIELD = re.compile(rb"(?m)^(?!From |[!-9;-~]*:|[\t ]|\r?$)")


# ---- Dovecot ----

def _message_causes(ours, theirs, causes):
    """Messages inside: sizes, envelopes and bodies."""
    if len(ours) < 10 or len(ours) != len(theirs):
        return False
    if (ours[6], ours[9]) != (theirs[6], theirs[9]):
        # The CRLF before a boundary counts for the multipart that ends there.
        if theirs[6] - ours[6] > 2 or theirs[9] - ours[9] != 1:
            return False
        causes.add("line-end-of-outer-boundary")
    for field, (mine, other) in enumerate(zip(ours[7], theirs[7])):
        if mine != other:
            if not isinstance(other, bytes) or field not in (0, 8, 9) or other.lstrip() != mine:
                return False
            causes.add("folded-at-once")
    return ours[:6] == theirs[:6] and ours[10:] == theirs[10:] and _structure_causes(ours[8], theirs[8], causes)


def _structure_causes(ours, theirs, causes):
    """Adds what explains the difference of two bodies to `causes`; False when something does not."""
    if ours == theirs:
        return True
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    if theirs[0] == b"" or (len(theirs) > 1 and theirs[1] == b""):
        causes.add("type-without-subtype")
        return ours[:2] == [b"text", b"plain"] and ours[3:7] == theirs[3:7]
    if isinstance(theirs[0], list) and not isinstance(ours[0], list) and theirs[0][:8] == EMPTY_TEXT:
        causes.add("multipart-without-boundary")
        return ours[:6] == EMPTY_TEXT[:6]
    if ours[:2] == [b"message", b"global"] and theirs[:7] == ours[:7] and not isinstance(theirs[7:8], tuple):
        if len(theirs) < len(ours):
            causes.add("message-global")
            return True
    if ours[0] == b"message":
        return _message_causes(ours, theirs, causes)
    if len(ours) != len(theirs):
        return False
    for mine, other in zip(ours, theirs):
        if mine == other:
            continue
        if mine is None and isinstance(other, list) and other[:1] == [b""]:
            causes.add("disposition-without-type")
        elif not _structure_causes(mine, other, causes):
            return False
    return True


def _section_part(message, what):
    """The part of BODY[1.2.MIME] and all it is in."""
    number = re.match(r"BODY\[([\d.]*\d)", what)
    part = message.numbers.get(number.group(1)) if number else None
    chain = []
    while part:
        chain.append(part)
        part = message.parts[part["parent"]] if part["parent"] >= 0 else None
    return chain


def _address_causes(ours, theirs):
    nobody = [None, None, b"MISSING_MAILBOX", b"MISSING_DOMAIN"]
    if ours and theirs and len(theirs) > len(ours) and [item for item in theirs if item != nobody] == ours:
        return ("empty-address",)
    if ours and theirs and len(ours) > len(theirs) and ours[:len(theirs)] == theirs:
        return ("addresses-after-a-bad-one",)
    return ()


def dovecot(message, what, ours, theirs):
    if what in ("BODYSTRUCTURE", "BODY"):
        causes = set()
        return tuple(sorted(causes)) if _structure_causes(ours, theirs, causes) else ()
    if what in ("ENVELOPE message-id", "ENVELOPE in-reply-to", "ENVELOPE date"):
        return ("folded-at-once",) if theirs and theirs.lstrip() == ours else ()
    if what.startswith("ENVELOPE"):
        return _address_causes(ours, theirs)
    if what.startswith("BODY[HEADER.FIELDS "):
        no_blank_line = not message.header(message.parts[0]).endswith(b"\r\n\r\n")
        return ("blank-line-invented",) if no_blank_line and ours + b"\r\n" == theirs else ()
    chain = _section_part(message, what)
    if isinstance(theirs, bytes) and ours + b"\r\n" == theirs and any(part["kind"] == "multipart" for part in chain):
        return ("line-end-of-outer-boundary",)
    if any((part["type"], part["subtype"]) == ("message", "global") for part in chain):
        return ("message-global",)
    if not theirs and any(part["kind"] == "leaf" and re.search(rb"(?im)^content-type:\s*multipart/", message.header(part))
                          for part in chain):
        return ("multipart-without-boundary",)
    return ()


# ---- Python ----

def _qp(body):
    """Quoted-printable as RFC 2045 §6.7 has it: what stands blank at the end of a line was added on the way."""
    return binascii.a2b_qp(re.sub(rb"[ \t]+(?=\r?\n|\Z)", b"", body))


def _base64(body):
    """Base64 as RFC 2045 §6.8 has it: bytes outside the alphabet do not count; each group is decoded for itself."""
    out = b""
    for run in re.split(rb"=+", re.sub(rb"[^A-Za-z0-9+/=]", b"", body)):
        whole = len(run) // 4 * 4
        out += binascii.a2b_base64(run[:whole])
        rest = run[whole:]
        if len(rest) > 1:
            out += binascii.a2b_base64(rest + b"=" * (4 - len(rest)))
    return out


def _decoded_causes(message, part, ours):
    body = message.body(part)
    for encoding, decode, cause in ((3, _qp, "blanks-before-line-ends"), (4, _base64, "base64-ignores-other-bytes")):
        if part["encoding"] == encoding:
            decoded = decode(body)
            if [len(decoded), zlib.crc32(decoded)] == ours:
                return (cause,)
    return ()


def python(message, what, part, ours, theirs):
    chain, up = [], part
    while up:
        chain.append(up)
        up = message.parts[up["parent"]] if up["parent"] >= 0 else None
    headers = b"".join(message.header(item) for item in chain)
    for child in message.children(part):
        headers += message.header(child)
    if what.startswith("decoded"):
        causes = _decoded_causes(message, part, ours)
        if causes:
            return causes
    if re.search(rb"\r(?!\n)", headers + message.body(part)):
        return ("bare-cr-is-no-line-end",)
    if NO_FIELD.search(headers):
        return ("header-ends-at-blank-line",)
    if what.startswith("kind") and part["kind"] == "multipart" and not part["children"]:
        return ("multipart-without-parts",)
    if what.startswith("body") and theirs + b"\r\n" == ours and part["body_at"] + part["body_bytes"] == len(message.bytes):
        return ("last-line-end-without-boundary",)
    if re.search(rb"(?im)^content-type:\s*multipart/", message.header(part)) and part["kind"] == "leaf":
        return ("multipart-without-boundary",)
    return ()
