"""Attacks on logins: SCRAM's downgrades and bindings by a client of our own, and what the time of an answer tells.

    test_logins.py PENFOLD
"""
import base64
import hashlib
import hmac
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import insecure_tls
from served import PASSWORD, Server
from tap import Tap

ANN = "ann@example.org"
PAIRS = 150  # of an unknown user and a wrong password, per mechanism


# ---- Ways to the server ----

class Plain:
    """Loopback in clear: the server offers no binding there."""
    exporter = unique = None

    def __init__(self, server):
        self.sock = self.open(server)
        self.file = self.sock.makefile("rb")
        self.hear()

    def open(self, server):
        return socket.create_connection(("127.0.0.1", server.imap), 20)

    def say(self, text):
        self.sock.sendall(text + b"\r\n")

    def hear(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        return line.rstrip(b"\r\n")

    def answer(self):
        """The next line that answers a command: a continuation or a tagged one."""
        while True:
            line = self.hear()
            if re.match(rb"\+|t ", line):
                return line

    def close(self):
        self.sock.close()


class Tls12(Plain):
    def open(self, server):
        context = insecure_tls()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        sock = context.wrap_socket(socket.create_connection(("127.0.0.1", server.imaps), 20))
        self.unique = sock.get_channel_binding("tls-unique")
        self.certificate = sock.getpeercert(binary_form=True)
        return sock


class Tls13(Plain):
    """Through openssl, which, unlike Python here, says the exported keying material."""

    def __init__(self, server):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.imaps}", "-tls1_3", "-keymatexport", "EXPORTER-Channel-Binding",
             "-keymatexportlen", "32"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.file, self.exporter = self.process.stdout, None
        while not (line := self.hear()).startswith(b"* OK"):
            if match := re.search(rb"Keying material: ([0-9A-F]{64})", line):
                self.exporter = bytes.fromhex(match.group(1).decode())
        assert self.exporter

    def say(self, text):
        self.process.stdin.write(text + b"\r\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.file.close()


# ---- SCRAM (RFC 5802), the client's side ----

def b64(data):
    return base64.b64encode(data)


class Scram:
    """One exchange; what differs from a good client is said in `lies`: first, final, header, nonce, proof."""

    def __init__(self, way, mechanism="SCRAM-SHA-256", flag="n", binding=b"", user=ANN, password=PASSWORD, lies=None):
        self.way, self.password, self.lies = way, password, lies or {}
        self.hash = "sha1" if "SHA-1" in mechanism else "sha256"
        self.header = f"{flag},,".encode()
        self.binding = binding
        self.bare = f"n={user},r={base64.b64encode(os.urandom(12)).decode()}".encode()
        first = self.lies.get("first", self.header + self.bare)
        way.say(b"t AUTHENTICATE " + mechanism.encode() + b" " + (b64(first) or b"="))

    def mac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def run(self):
        """True when it is let in, and the server has proved itself; False when not."""
        line = self.way.answer()
        if not line.startswith(b"+ "):
            return self.refused(line)
        if line == b"+ ":  # an empty message asks for ours
            self.way.say(b"*")
            return self.refused(self.way.answer())
        challenge = base64.b64decode(line[2:])
        fields = dict(field.split(b"=", 1) for field in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        without = b"c=" + b64(self.lies.get("header", self.header) + self.binding) + b",r=" + self.lies.get("nonce", fields[b"r"])
        text = b",".join((self.bare, challenge, without))
        key = self.mac(salted, b"Client Key")
        signature = self.mac(hashlib.new(self.hash, key).digest(), text)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.way.say(b64(self.lies.get("final", without + b",p=" + b64(self.lies.get("proof", proof)))))
        line = self.way.answer()
        if line.startswith(b"+ "):
            assert base64.b64decode(line[2:]) == b"v=" + b64(self.mac(self.mac(salted, b"Server Key"), text)), "the server is another"
            self.way.say(b"")
            line = self.way.answer()
        return True if line.startswith(b"t OK") else self.refused(line)

    @staticmethod
    def refused(line):
        assert re.match(rb"t (NO|BAD)", line), line
        return False


def scram(server, kind, mechanism="SCRAM-SHA-256", flag="n", binding=None, **how):
    """`binding`: a function of the way, or None."""
    way = kind(server)
    try:
        return Scram(way, mechanism, flag, binding(way) if binding else b"", **how).run()
    finally:
        way.close()


def exporter(way):
    return way.exporter


def unique(way):
    return way.unique


def flipped(binding):
    def wrong(way):
        data = binding(way)
        return data[:-1] + bytes([data[-1] ^ 1])
    return wrong


def good_clients(server):
    for name in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        assert scram(server, Plain, name)
        assert scram(server, Plain, name, "y"), "y is honest where -PLUS is not offered"
        assert scram(server, Tls12, name) and scram(server, Tls13, name), "a client may know no binding"
        assert scram(server, Tls12, name + "-PLUS", "p=tls-unique", unique)
        assert scram(server, Tls13, name + "-PLUS", "p=tls-exporter", exporter)
    assert not scram(server, Plain, password="wrong")


def downgrade(server):
    """RFC 5802 6: the client could bind and was told that the server cannot; but it can."""
    for name in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        assert not scram(server, Tls12, name, "y")
        assert not scram(server, Tls13, name, "y")


def binding_mismatch(server):
    """As somebody in between has it, who speaks TLS with both sides: another channel's data."""
    for kind, flag, binding in ((Tls12, "p=tls-unique", unique), (Tls13, "p=tls-exporter", exporter)):
        other = kind(server)
        elsewhere = binding(other)
        for wrong in (flipped(binding), lambda way: elsewhere, lambda way: b"", lambda way: bytes(32), lambda way: binding(way) + b"\0"):
            assert not scram(server, kind, "SCRAM-SHA-256-PLUS", flag, wrong), (kind.__name__, wrong)
        other.close()


def wrong_kinds(server):
    certificate = lambda way: hashlib.sha256(way.certificate).digest()
    assert not scram(server, Tls13, "SCRAM-SHA-256-PLUS", "p=tls-unique", lambda way: b""), "RFC 9266 4.2: none in TLS 1.3"
    assert not scram(server, Tls13, "SCRAM-SHA-256-PLUS", "p=tls-unique", exporter)
    assert not scram(server, Tls12, "SCRAM-SHA-256-PLUS", "p=tls-exporter", unique)
    assert not scram(server, Tls12, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point", certificate), "not offered"
    for flag in ("p=", "p=TLS-UNIQUE", "p=x", "p"):
        assert not scram(server, Tls12, "SCRAM-SHA-256-PLUS", flag, unique), flag


def header_games(server):
    for flag in ("n", "y"):
        assert not scram(server, Tls12, "SCRAM-SHA-256-PLUS", flag), "-PLUS without binding"
        assert not scram(server, Tls13, "SCRAM-SHA-256-PLUS", flag)
    for kind, flag, binding in ((Tls12, "p=tls-unique", unique), (Tls13, "p=tls-exporter", exporter)):
        assert not scram(server, kind, "SCRAM-SHA-256", flag, binding), "binding without -PLUS"
    assert not scram(server, Plain, "SCRAM-SHA-256-PLUS", "p=tls-unique", lambda way: b"x" * 12), "no TLS, no -PLUS"
    for sent, repeated in (("n", b"y,,"), ("y", b"n,,"), ("n", b"p=tls-unique,,"), ("n", b"n,a=ann,"), ("n", b"")):
        assert not scram(server, Plain, flag=sent, lies={"header": repeated}), (sent, repeated)
    for first in (b"", b",", b"n", b"n,", b"x,,n=a,r=b", b"n,,r=b,n=a", b"n,,n=,r=b", b"n,,n=" + ANN.encode(), b"n,,m=x,n=a,r=b", b"n,,n=a,r=",
                  b"n,,n=a=,r=b", b"n,,n=\xff,r=b", b"n,,n=a\0b,r=c"):
        assert not scram(server, Plain, lies={"first": first}), first


def other_lies(server):
    for lies in ({"nonce": b"x"}, {"nonce": b""}, {"proof": bytes(32)}, {"proof": b""}, {"proof": bytes(31)},
                 {"final": b""}, {"final": b"c=biws"}, {"final": b"p=,c=biws,r=x"}, {"final": b"\0" * 9000}):
        assert not scram(server, Plain, lies=lies), lies
    assert not scram(server, Plain, lies={"first": f"n,a=bob@example.org,n={ANN},r=abc".encode()}), "nobody acts for another"


def replay(server):
    """A whole exchange that was overheard opens nothing: the server's part of the nonce is another."""
    way = Plain(server)
    once = Scram(way)
    said = []
    way.say, say = (lambda text: (said.append(text), say(text))), way.say
    assert once.run()
    way.close()
    assert not scram(server, Plain, lies={"first": once.header + once.bare, "final": base64.b64decode(said[0])})


# ---- Time ----

class Prober:
    """Failing logins, a few per connection, each timed from the last byte of the question to the first of the answer."""

    def __init__(self, server):
        self.server, self.way, self.used = server, None, 0

    def fresh(self):
        if self.way is None or self.used == 4:
            if self.way:
                self.way.close()
            self.way, self.used = Plain(self.server), 0
        self.used += 1
        return self.way

    def password(self, user):
        way = self.fresh()
        begin = time.perf_counter()
        way.say(b"t AUTHENTICATE PLAIN " + b64(f"\0{user}\0not the password".encode()))
        assert way.answer().startswith(b"t NO")
        return time.perf_counter() - begin

    def scram(self, user):
        way = self.fresh()
        begin = time.perf_counter()
        way.say(b"t AUTHENTICATE SCRAM-SHA-256 " + b64(f"n,,n={user},r=abcdefgh".encode()))
        fields = dict(field.split(b"=", 1) for field in base64.b64decode(way.answer()[2:]).split(b","))
        middle = time.perf_counter() - begin
        begin = time.perf_counter()
        way.say(b64(b"c=biws,r=" + fields[b"r"] + b",p=" + b64(bytes(32))))
        assert way.answer().startswith(b"t NO")
        assert fields[b"i"] == b"4096" and len(base64.b64decode(fields[b"s"])) == 16, fields
        return middle + time.perf_counter() - begin


def compare(probe):
    """
    Pairs, in changing order, of an unknown user and a wrong password. How often is the unknown one slower? By chance: half of the time,
    +- 4.1 % for 150. A difference counts only when it is more than chance and more than 3 % of the time itself, which a network hides.
    """
    differences, times = [], []
    for i in range(PAIRS):
        unknown, known = f"nobody{i}@example.org", ANN
        if i % 2:
            a, b = probe(unknown), probe(known)
        else:
            b, a = probe(known), probe(unknown)
        differences.append(a - b)
        times += [a, b]
    slower = sum(difference > 0 for difference in differences) / PAIRS
    middle, whole = statistics.median(differences), statistics.median(times)
    text = f"unknown users are slower in {100 * slower:.0f} % of {PAIRS} pairs, by {1e6 * middle:.0f} of {1e6 * whole:.0f} us in the median"
    assert abs(slower - 0.5) < 0.25 or abs(middle) < 0.03 * whole, text
    return text


def looks_the_same(server):
    """What is said does not differ either, byte for byte."""
    for mechanism, secret in (("PLAIN", lambda user: f"\0{user}\0x".encode()), ("SCRAM-SHA-256", lambda user: f"n,,n={user},r=abc".encode())):
        heard = []
        for user in (ANN, "nobody@example.org", "nobody", "", "ann@nowhere.example", "@", "a" * 400, "\u00e4nn@example.org"):
            way = Plain(server)
            way.say(f"t AUTHENTICATE {mechanism} ".encode() + b64(secret(user)))
            heard.append(way.answer()[:4])
            way.close()
        if mechanism == "PLAIN":
            assert len(set(heard)) == 1, heard
        else:
            assert heard[:2] == [b"+ cj", b"+ cj"], heard


def main(program):
    tap, folder = Tap(), tempfile.mkdtemp(prefix="penfold-logins-")
    server = Server(program, folder)
    server.write_config(throttle_loopback="no", scram_iterations=4096)
    try:
        server.start()
        server.cli("domain", "add", "example.org")
        server.cli("account", "add", ANN, password=PASSWORD)
        tap.run("good SCRAM clients get in, with and without binding", good_clients, server)
        tap.run("SCRAM: a client that was told there is no -PLUS is not let in", downgrade, server)
        tap.run("SCRAM: another channel's binding is not let in", binding_mismatch, server)
        tap.run("SCRAM: bindings that do not belong to this TLS version", wrong_kinds, server)
        tap.run("SCRAM: flags and headers that do not fit together", header_games, server)
        tap.run("SCRAM: nonces and proofs that are not right", other_lies, server)
        tap.run("SCRAM: an overheard exchange opens nothing", replay, server)
        tap.run("an unknown user is answered like a wrong password", looks_the_same, server)
        prober = Prober(server)
        tap.run("an unknown user takes as long as a wrong password (PLAIN)", compare, prober.password)
        tap.run("an unknown user takes as long as a wrong password (SCRAM)", compare, prober.scram)
        tap.ok(server.stop() == 0, "it ends in order")
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


main(sys.argv[1])
