#!/usr/bin/python3
"""The mail module against Python's email and against Debian's Dovecot, on a whole corpus of real mail. Prints TAP.

    differential.py DESCRIBE UNPACKED     the program mail-describe; the folder that tools/unpack-peer uses
    differential.py --list DESCRIBE UNPACKED     prints each difference instead, for looking into them

The corpus is what PENFOLD_CORPUS names, else ../shared/corpus beside the tree: nasty/*.eml and bulk.tar.xz. A difference that
lasts is listed in differences.tsv, by message and what differs, or by a cause that explains.py proves for it; one that is not
listed fails the test, and so does one listed that is no more.
"""
import collections
import email
import email.policy
import glob
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import warnings
import zlib

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "peers")]

import dovecot  # noqa: E402
import explains  # noqa: E402
import imap_reader  # noqa: E402

Difference = collections.namedtuple("Difference", "peer message what ours theirs causes")
FIELDS = b"(From TO subject Content-Type)"
ENVELOPE = ("date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id")


class Message:
    """What mail-describe says of a message, and its canonical bytes."""

    def __init__(self, name, raw, described):
        self.name = name
        self.bytes = re.sub(rb"(?<!\r)\n", b"\r\n", raw)
        self.said = described
        self.parts = described["parts"]
        for index, part in enumerate(self.parts):
            part["index"] = index
        self.numbers = {}
        self._number(0, "")

    def text(self, key):
        return self.said[key].encode("latin-1")

    def body(self, part):
        return self.bytes[part["body_at"]:part["body_at"] + part["body_bytes"]]

    def header(self, part):
        return self.bytes[part["header_at"]:part["header_at"] + part["header_bytes"]]

    def children(self, part):
        child = part["index"] + 1 if part["children"] else 0
        while child:
            yield self.parts[child]
            child = self.parts[child]["next"]

    def _number(self, index, path):
        """Part numbers as RFC 9051 §6.4.5.1 counts them, for the message whose top part is `index`."""
        part = self.parts[index]
        if part["kind"] != "multipart":
            self._numbered(part, path + "1")
        else:
            self._multipart(part, path)

    def _multipart(self, part, path):
        for number, child in enumerate(self.children(part), 1):
            self._numbered(child, f"{path}{number}")

    def _numbered(self, part, number):
        self.numbers[number] = part
        if part["kind"] == "message":
            self._number(part["index"] + 1, number + ".")
        elif part["kind"] == "multipart":
            self._multipart(part, number + ".")

    def sections(self):
        """Every BODY[section] there is, with its bytes."""
        top = self.parts[0]
        yield "", self.bytes
        yield "HEADER", self.header(top)
        yield "TEXT", self.body(top)
        yield f"HEADER.FIELDS {FIELDS.decode()}", self.text("fields")
        yield f"HEADER.FIELDS.NOT {FIELDS.decode()}", self.text("other_fields")
        for number, part in self.numbers.items():
            yield number, self.body(part)
            yield number + ".MIME", self.header(part)
            if part["kind"] == "message":
                inner = self.parts[part["index"] + 1]
                yield number + ".HEADER", self.header(inner)
                yield number + ".TEXT", self.body(inner)


def read_corpus(folder, work):
    """File names of all messages, in a fixed order."""
    with tarfile.open(os.path.join(folder, "bulk.tar.xz")) as archive:
        members = [member for member in archive if member.isfile() and "/.." not in member.name]
        archive.extractall(work, members)
    return sorted(glob.glob(os.path.join(folder, "nasty", "*.eml"))) + sorted(glob.glob(os.path.join(work, "bulk", "*.eml")))


def describe(program, files):
    result = subprocess.run([program], input="\n".join(files) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    messages = []
    for line, name in zip(result.stdout.splitlines(), files):
        with open(name, "rb") as file:
            messages.append(Message("/".join(name.split("/")[-2:]), file.read(), json.loads(line)))
    assert len(messages) == len(files)
    return messages


# ---- Dovecot ----

def normal(structure):
    """BODYSTRUCTURE so that only what means something is compared: types and names in lower case, parameters sorted."""
    if not isinstance(structure, list) or not structure:
        return structure
    if isinstance(structure[0], list):
        count = next(i for i, item in enumerate(structure) if not isinstance(item, list))
        bodies = [normal(body) for body in structure[:count]]
        return bodies + [lower(structure[count])] + [pairs(item) for item in structure[count + 1:count + 2]] + \
            extension(structure[count + 2:])
    head = [lower(structure[0]), lower(structure[1]), pairs(structure[2])] + structure[3:5] + [lower(structure[5])]
    rest = structure[6:]
    if len(rest) > 2 and isinstance(rest[1], list) and isinstance(rest[2], list):  # a message: envelope and body
        return head + rest[:2] + [normal(rest[2])] + rest[3:5] + extension(rest[5:])
    if head[0] == b"text":
        return head + rest[:3] + extension(rest[3:])
    return head + rest[:2] + extension(rest[2:])


def lower(value):
    return value.lower() if isinstance(value, bytes) else value


def pairs(values):
    """Parameters have no order, and the value of charset is the same in either case (RFC 2045 §5.1, RFC 2046 §4.1.2)."""
    if not isinstance(values, list):
        return values
    named = [(lower(name), value) for name, value in zip(values[::2], values[1::2])]
    return sorted([name, lower(value) if name == b"charset" else value] for name, value in named)


def extension(values):
    values = list(values)
    if values and isinstance(values[0], list):
        values[0] = [lower(values[0][0]), pairs(values[0][1])]
    return values


def dovecot_differences(message, answer):
    ours, theirs = imap_reader.parse(message.text("envelope"))[0], answer["ENVELOPE"]
    for name, mine, other in zip(ENVELOPE, ours, theirs):
        if mine != other:
            yield "ENVELOPE " + name, mine, other
    for item, key in (("BODYSTRUCTURE", "structure"), ("BODY", "body")):
        mine, other = normal(imap_reader.parse(message.text(key))[0]), normal(answer[item])
        if mine != other:
            yield item, mine, other
    if answer["RFC822.SIZE"] != message.said["bytes"]:
        yield "RFC822.SIZE", message.said["bytes"], answer["RFC822.SIZE"]
    for section, mine in message.sections():
        other = answer[f"BODY[{section}]".upper()]
        # A literal cannot hold NUL (RFC 9051 §9, CHAR8): there Dovecot sends 0x80, and Penfold does as §4.3.1 lets it.
        if mine.replace(b"\0", b"\x80") != (other or b""):
            yield f"BODY[{section}]", mine, other


def against_dovecot(messages, peer):
    client = imap_reader.Client(peer.ports["imap"])
    client.run(1, b"LOGIN user " + dovecot.PASSWORD.encode())
    client.run(2, b"EXAMINE INBOX")

    def commands():
        for number, message in enumerate(messages, 1):
            sections = b" ".join(b"BODY.PEEK[%s]" % section.encode() for section, _ in message.sections())
            yield number + 100, b"UID FETCH %d (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY %s)" % (number, sections)

    # A few thousand commands on their way at once: the sender must not wait for the reader.
    sender = threading.Thread(target=lambda: [client.send(command) for command in commands()], daemon=True)
    sender.start()
    answered = 0
    for answer in client.results(range(101, 101 + len(messages))):
        message = messages[answer["UID"] - 1]
        answered += 1
        for what, mine, other in dovecot_differences(message, answer):
            yield Difference("dovecot", message.name, what, mine, other, explains.dovecot(message, what, mine, other))
    assert answered == len(messages), answered
    client.close()


# ---- Python's email ----

def python_body(part):
    payload = part._payload  # as it stands: get_payload() would decode 8-bit bytes
    if not isinstance(payload, str):
        return None
    return payload.encode("ascii", "surrogateescape")


def python_walk(message, part, theirs, path):
    """Compares one part and what is inside."""
    kind = {"leaf": "leaf", "multipart": "multipart", "message": "message"}[part["kind"]]
    inner = theirs._payload
    is_list = isinstance(inner, list)
    if theirs.get_content_maintype() == "multipart" and is_list:
        their_kind = "multipart"
    elif is_list and theirs.get_content_type() in ("message/rfc822", "message/global"):
        their_kind = "message"
    else:
        their_kind = "leaf"
    if kind != their_kind:
        yield f"kind {path}", part, kind, their_kind
        return
    if kind == "leaf":
        if part["type"] != theirs.get_content_maintype() or part["subtype"] != theirs.get_content_subtype():
            yield f"type {path}", part, part["type"] + "/" + part["subtype"], theirs.get_content_type()
        body = python_body(theirs)
        if body is None:
            return
        if body != message.body(part):
            yield f"body {path}", part, message.body(part), body
            return
        decoded = theirs.get_payload(decode=True)
        mine = part["decoded"]
        if part["encoding"] < 6 and [len(decoded), zlib.crc32(decoded)] != mine:
            yield f"decoded {path}", part, mine, decoded
        return
    children = list(message.children(part))
    if len(children) != len(inner):
        yield f"parts {path}", part, len(children), len(inner)
        return
    for number, (child, other) in enumerate(zip(children, inner), 1):
        yield from python_walk(message, child, other, f"{path}.{number}" if path else str(number))


def python_date(theirs):
    value = theirs.get_all("date")
    if not value:
        return None
    parsed = email.utils.parsedate_tz(str(value[-1]))
    if parsed is None:
        return None
    return email.utils.mktime_tz(parsed)


def python_differences(message):
    theirs = email.message_from_bytes(message.bytes, policy=email.policy.compat32)
    yield from python_walk(message, message.parts[0], theirs, "")
    try:
        date = python_date(theirs)
    except (OverflowError, ValueError, TypeError):
        date = None
    if date != message.said.get("date"):
        yield "date", message.parts[0], message.said.get("date"), date


def against_python(messages):
    warnings.simplefilter("ignore")
    for message in messages:
        for what, part, mine, other in python_differences(message):
            causes = explains.python(message, what, part, mine, other)
            yield Difference("python", message.name, what, mine, other, causes)


# ---- The list ----

def read_list():
    listed = []
    with open(os.path.join(HERE, "differences.tsv"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                listed.append(tuple(line.rstrip("\n").split("\t")))
    for entry in listed:
        assert len(entry) == 5, entry
    return listed


def check_list(peer, differences, listed):
    """What is wrong: differences not listed, and entries that stand for none."""
    wrong, used = [], set()
    known = {entry[1:3]: entry for entry in listed if entry[0] == peer}
    for difference in differences:
        keys = [(cause, "*") for cause in difference.causes] or [(difference.what, difference.message)]
        if all(key in known for key in keys):
            used.update(known[key] for key in keys)
        else:
            wrong.append(difference)
    return wrong, [entry for entry in listed if entry[0] == peer and entry not in used]


def shorten(value):
    text = repr(value)
    return text if len(text) < 700 else text[:450] + " ... " + text[-200:]


def tell(difference):
    print(f"# {difference.message}: {difference.what} ({', '.join(difference.causes) or 'unexplained'})")
    print(f"#   Penfold {shorten(difference.ours)}")
    print(f"#   {difference.peer} {shorten(difference.theirs)}")


def report(number, peer, differences, listed, count):
    wrong, gone = check_list(peer, differences, listed)
    for difference in wrong[:40]:
        tell(difference)
    for entry in gone:
        print(f"# listed, but no longer there: {' '.join(entry[:3])}")
    verdict = "not ok" if wrong or gone else "ok"
    print(f"{verdict} {number} - {count} messages agree with {peer}: {len(differences)} differences, {len(wrong)} not listed, "
          f"{len(gone)} listed in vain")
    return not wrong and not gone


def common_agrees(number, messages):
    """An answer from what is kept of the header must be the same as one from the header."""
    wrong = [message.name for message in messages if message.said.get("common_fields", message.said["fields"]) != message.said["fields"]]
    for name in wrong[:20]:
        print(f"# {name}")
    print(f"{'not ok' if wrong else 'ok'} {number} - the kept fields answer as the whole header does")
    return not wrong


def main(arguments):
    show = "--list" in arguments
    program, unpacked = [argument for argument in arguments if argument != "--list"]
    folder = os.environ.get("PENFOLD_CORPUS") or os.path.join(os.path.dirname(TREE), "shared", "corpus")
    if not os.path.exists(os.path.join(folder, "bulk.tar.xz")):
        print(f"1..0 # SKIP no corpus in {folder}")
        return 0
    with tempfile.TemporaryDirectory(prefix="penfold-mail-") as work:
        os.chmod(work, 0o755)
        messages = describe(program, read_corpus(folder, work))
        dovecot.unpack(TREE, unpacked)
        state = os.path.join(work, "dovecot")

        def fill(peer):
            peer.fill_maildir("user", [message.bytes for message in messages])

        with dovecot.start(unpacked, state, prepare=fill) as peer:
            dovecot_found = list(against_dovecot(messages, peer))
    python_found = list(against_python(messages))
    if show:
        for difference in dovecot_found + python_found:
            tell(difference)
        return 0
    print("1..3")
    listed = read_list()
    good = report(1, "dovecot", dovecot_found, listed, len(messages))
    good = report(2, "python", python_found, listed, len(messages)) and good
    good = common_agrees(3, messages) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
