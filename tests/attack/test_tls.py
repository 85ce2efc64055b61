"""Attacks on TLS and on the way to it, over the real server.

    test_tls.py PENFOLD
"""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo, insecure_tls
from served import PASSWORD, Server, fingerprint, make_certificate
from tap import Tap

HANDSHAKE_S = 30  # gate_settings.handshake_ms
SLOW_CLIENTS = 40


class Line:
    """A connection that shows every byte, in clear or, later, through TLS."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 20)
        self.file = self.sock.makefile("rb")
        self.greeting = self.file.readline()

    def say(self, text):
        self.sock.sendall(text)

    def hear(self):
        return self.file.readline()

    def until(self, start):
        """Lines up to the one that begins so."""
        lines = []
        while not lines or not lines[-1].startswith(start):
            lines.append(self.hear())
            assert lines[-1], lines
        return lines

    def start_tls(self):
        self.sock = insecure_tls().wrap_socket(self.sock)
        self.file = self.sock.makefile("rb")

    def quiet(self, seconds=0.5):
        """Nothing more comes."""
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(1000)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(20)
        raise AssertionError(f"unexpected: {got!r}")


# ---- Commands in front of the handshake ----

def imap_injection(demo, behind):
    line = Line(demo.imap)
    line.say(b"a STARTTLS\r\n" + behind)
    assert line.hear().startswith(b"a OK")
    line.start_tls()
    assert line.quiet()
    line.say(b"z1 NOOP\r\n")
    assert line.until(b"z1")[-1].startswith(b"z1 OK")
    line.say(b"z2 SELECT INBOX\r\n")
    said = line.until(b"z2 ")
    assert not said[-1].startswith(b"z2 OK") and len(said) == 1, said
    line.say(f"z3 LOGIN {demo.user} {demo.password}\r\n".encode())
    assert line.until(b"z3 ")[-1].startswith(b"z3 OK")
    line.sock.close()


def imap_injections(demo):
    login = f"b LOGIN {demo.user} {demo.password}\r\n".encode()
    for behind in (login, b"b NOOP\r\n", login + b"c SELECT INBOX\r\n", b"b LOGIN {4}\r\n", b"b LOGIN {4+}\r\nuser", b"b ", b"\r\n", b"b NOOP",
                   b"b NOOP\r\n" * 500, b"b AUTHENTICATE PLAIN\r\n", b"b LOGOUT\r\n"):
        imap_injection(demo, behind)


def imap_state_is_forgotten(demo):
    """What was half done in clear is not finished under TLS."""
    line = Line(demo.imap)
    line.say(b"a AUTHENTICATE PLAIN\r\n")
    assert line.hear().startswith(b"+")
    line.say(b"b STARTTLS\r\n")  # an answer to the challenge, and no good one
    assert line.hear().startswith(b"a ")
    line.say(b"c STARTTLS\r\n")
    assert line.hear().startswith(b"c OK")
    line.start_tls()
    assert line.quiet()
    line.say(b"d STARTTLS\r\n")
    assert line.hear().startswith(b"d BAD"), "no TLS inside TLS"
    line.say(f"e LOGIN {demo.user} {demo.password}\r\n".encode())
    assert line.until(b"e ")[-1].startswith(b"e OK")
    line.say(b"f STARTTLS\r\n")
    assert line.until(b"f ")[-1].startswith(b"f BAD"), "nor after login"


def pop3_injection(demo, behind):
    line = Line(demo.pop3)
    line.say(b"STLS\r\n" + behind)
    assert line.hear().startswith(b"+OK")
    line.start_tls()
    assert line.quiet()
    line.say(b"STAT\r\n")
    assert line.hear().startswith(b"-ERR")
    line.say(f"USER {demo.user}\r\n".encode())
    assert line.hear().startswith(b"+OK")
    line.say(f"PASS {demo.password}\r\nQUIT\r\n".encode())
    assert line.hear().startswith(b"+OK")
    assert line.file.read().startswith(b"+OK")  # and the maildrop is free again


def pop3_injections(demo):
    login = f"USER {demo.user}\r\nPASS {demo.password}\r\n".encode()
    for behind in (login, b"CAPA\r\n", login + b"STAT\r\n", b"USER x", b"NOOP\r\n" * 500, b"AUTH PLAIN\r\n", b"QUIT\r\n"):
        pop3_injection(demo, behind)


def pop3_user_is_forgotten(demo):
    line = Line(demo.pop3)
    line.say(f"USER {demo.user}\r\n".encode())
    assert line.hear().startswith(b"+OK")
    line.say(b"STLS\r\n")
    assert line.hear().startswith(b"+OK")
    line.start_tls()
    line.say(f"PASS {demo.password}\r\n".encode())
    assert line.hear().startswith(b"-ERR"), "the user that was named in clear counts no more"


def lmtp_has_none(demo):
    line = Line(demo.lmtp)
    line.say(b"LHLO x\r\n")
    assert not any(b"STARTTLS" in said for said in line.until(b"250 "))
    line.say(b"STARTTLS\r\n")
    assert line.hear()[:3] in (b"500", b"502")


# ---- The handshake itself ----

def client_hello(version, ciphers, extensions=b"", record=None):
    body = struct.pack(">H", version) + os.urandom(32) + b"\0"
    body += struct.pack(">H", 2 * len(ciphers)) + b"".join(struct.pack(">H", cipher) for cipher in ciphers) + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    hello = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16" + struct.pack(">HH", record or min(version, 0x0301), len(hello)) + hello


GROUPS = bytes.fromhex("000a00080006001d00170018" "000b00020100" "000d000a0008040308040401" "0603")
GCM, FALLBACK = (0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA9), 0x5600


def answer(port, hello):
    """(record type, its bytes) of the first record that comes back; None where the connection just ends."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(hello)
        got = b""
        while len(got) < 5 or len(got) < 5 + struct.unpack(">H", got[3:5])[0]:
            try:
                more = sock.recv(4096)
            except ConnectionError:
                more = b""
            if not more:
                return None
            got += more
        return got[0], got[5:5 + struct.unpack(">H", got[3:5])[0]]


def old_versions(demo):
    for version in (0x0300, 0x0301, 0x0302):
        for port in (demo.imaps, demo.pop3s):
            said = answer(port, client_hello(version, GCM + (0xC013, 0xC009, 0x002F), GROUPS))
            reason = 40 if version == 0x0300 else 70  # handshake_failure, protocol_version
            assert said == (21, bytes([2, reason])), f"{version:#x}: {said}"


def downgrade_is_marked(demo):
    """RFC 8446 4.1.3: a server that can do better says so in its random bytes, which its signature covers."""
    kind, record = answer(demo.imaps, client_hello(0x0303, GCM, GROUPS))
    assert kind == 22 and record[0] == 2 and record[4:6] == b"\3\3", record[:6]
    assert record[6 + 24:6 + 32] == b"DOWNGRD\1", record[6:38].hex()


def fallback_is_refused(demo):
    """RFC 7507: who falls back although it need not gets inappropriate_fallback."""
    assert answer(demo.imaps, client_hello(0x0303, GCM + (FALLBACK,), GROUPS)) == (21, bytes([2, 86]))


def weak_ciphers(demo):
    for cipher in (0x0005, 0x000A, 0x002F, 0x0035, 0x009C, 0xC011, 0xC013, 0xC014, 0xC009, 0x0033, 0x009E, 0x0000, 0x00FF):
        said = answer(demo.imaps, client_hello(0x0303, (cipher,), GROUPS))
        assert said and said[0] == 21, f"cipher {cipher:#06x}: {said}"


def no_handshakes_at_all(demo):
    for bad in (b"\x80\x2e\1\0\2" + b"\0" * 41, b"GET / HTTP/1.1\r\n\r\n", b"a LOGIN x y\r\n", b"\x16\3\1\x40\0" + b"\0" * 0x4000, b"\x16\3\1\0\0",
                b"\x17\3\3\0\1\0", os.urandom(400)):
        with socket.create_connection(("127.0.0.1", demo.imaps), 20) as sock:
            sock.sendall(bad)
            sock.shutdown(socket.SHUT_WR)
            try:
                got = sock.recv(4096)
            except ConnectionError:
                got = b""
            assert not got.startswith(b"* "), got


def other_protocol(demo):
    """RFC 9325 3.7: a client that means another protocol was led here."""
    for port, wanted, good in ((demo.imaps, "http/1.1", False), (demo.imaps, "pop3", False), (demo.imaps, "imap", True), (demo.pop3s, "imap", False)):
        context = insecure_tls()
        context.set_alpn_protocols([wanted])
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20)) as sock:
                assert good and sock.selected_alpn_protocol() == wanted, (port, wanted)
        except ssl.SSLError:
            assert not good, (port, wanted)


def renegotiation(demo):
    """A client that asks for it is told no, and what it wanted under cover of it does not happen."""
    run = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{demo.imaps}", "-tls1_2"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = b""

    def until(text):
        nonlocal output
        while text not in output and (more := os.read(run.stdout.fileno(), 65536)):
            output += more
        assert text in output, output[-600:]

    def say(text):
        run.stdin.write(text)
        run.stdin.flush()

    killer = threading.Timer(30, run.kill)
    killer.start()
    try:
        until(b"* OK")
        say(b"a NOOP\n")
        until(b"a OK")
        say(b"R\n")  # at the start of what it reads at once, openssl takes it for itself
        until(b"RENEGOTIATING")
        until(b"no renegotiation")
        run.stdin.close()
        assert run.wait() != -signal.SIGKILL
    finally:
        killer.cancel()
        run.kill()
        run.stdout.close()
    line = imap_over_tls(demo)
    line.say(b"b NOOP\r\n")
    assert line.hear().startswith(b"b OK")


def imap_over_tls(demo):
    line = Line.__new__(Line)
    line.sock = insecure_tls().wrap_socket(socket.create_connection(("127.0.0.1", demo.imaps), 20))
    line.file = line.sock.makefile("rb")
    line.greeting = line.hear()
    return line


# ---- Slowness ----

class SlowHandshakes(threading.Thread):
    """Clients that send their hello a byte a second."""

    def __init__(self, port):
        super().__init__()
        self.port, self.ended, self.begin = port, [], time.monotonic()
        self.hello, self.silent_took = client_hello(0x0303, GCM, GROUPS), None

    def silence(self):
        """Who says hello, whole, gets an answer, and then says nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), 2 * HANDSHAKE_S) as sock:
            sock.sendall(self.hello)
            begin, got = time.monotonic(), b""
            try:
                while more := sock.recv(65536):
                    got += more
            except ConnectionError:
                pass
            self.silent_took = time.monotonic() - begin if got[:1] == b"\x16" else None

    def run(self):
        silent = threading.Thread(target=self.silence)
        silent.start()
        self.trickle()
        silent.join()

    def trickle(self):
        socks = [socket.create_connection(("127.0.0.1", self.port), 20) for _ in range(SLOW_CLIENTS)]
        self.begin = time.monotonic()
        for i in range(2 * HANDSHAKE_S):
            for sock in list(socks):
                try:
                    sock.sendall(self.hello[i:i + 1])
                    sock.setblocking(False)
                    if sock.recv(100) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    continue
                except ConnectionError:
                    self.ended.append(time.monotonic() - self.begin)
                    socks.remove(sock)
            if not socks:
                break
            time.sleep(1)

    def silent_verdict(self):
        self.join()
        assert self.silent_took is not None and HANDSHAKE_S - 2 <= self.silent_took <= HANDSHAKE_S + 8, self.silent_took
        return f"ended after {self.silent_took:.1f} s"

    def verdict(self):
        self.join()
        assert len(self.ended) == SLOW_CLIENTS, f"{SLOW_CLIENTS - len(self.ended)} are still waited for"
        assert HANDSHAKE_S - 2 <= min(self.ended) and max(self.ended) <= HANDSHAKE_S + 8, (min(self.ended), max(self.ended))
        return f"ended after {min(self.ended):.1f} to {max(self.ended):.1f} s"


def login_time(demo):
    begin = time.monotonic()
    with insecure_tls().wrap_socket(socket.create_connection(("127.0.0.1", demo.imaps), 20)) as sock:
        assert sock.recv(2000).startswith(b"* OK")
        sock.sendall(f"a LOGIN {demo.user} {demo.password}\r\n".encode())
        assert b"a OK" in sock.recv(2000)
    return time.monotonic() - begin


def others_are_served(demo, slow):
    """As on this machine, whatever else it does, without them."""
    alone = sorted(login_time(demo) for _ in range(5))[2]
    slow.start()
    beside = sorted(login_time(demo) for _ in range(7))[3]
    assert slow.is_alive() and not slow.ended
    assert beside < 3 * alone + 1, (alone, beside)
    return f"a login alone: {1000 * alone:.0f} ms, beside {SLOW_CLIENTS} slow handshakes: {1000 * beside:.0f} ms"


# ---- New certificates under load ----

class Load(threading.Thread):
    """One client that stays and works, and one after the other that comes and goes."""

    def __init__(self, server, host):
        super().__init__()
        self.server, self.host, self.over, self.commands, self.visits, self.wrong = server, host, False, 0, 0, []
        self.seen = set()

    def visit(self):
        client = self.server.connect(tls_name=self.host)
        self.seen.add(client.certificate)
        client.good(b"CAPABILITY")
        client.close()
        self.visits += 1

    def run(self):
        try:
            session = self.server.login("ann@example.org", tls_name=self.host)
            session.good(b"SELECT INBOX")
            while not self.over:
                for _ in range(5):
                    session.good(b"NOOP")
                    self.commands += 1
                self.visit()
            session.good(b"LOGOUT")
        except Exception as error:  # whatever it is, nobody may meet it
            self.wrong.append(repr(error))


def reload_under_load(server, folder):
    loads = [Load(server, "a.example.org") for _ in range(6)]
    for load in loads:
        load.start()
    fingerprints = {fingerprint(server.certificates[0][0])}
    for i in range(12):
        server.certificates[0] = make_certificate(folder, f"new{i}", "a.example.org")
        fingerprints.add(fingerprint(server.certificates[0][0]))
        server.write_config()
        begin = server.log_size()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("event=certificates-replaced", begin)
        time.sleep(0.1)
    for load in loads:
        load.over = True
    for load in loads:
        load.join(60)
    assert not any(load.wrong for load in loads), [load.wrong for load in loads]
    assert min(load.commands for load in loads) >= 5
    seen = set().union(*(load.seen for load in loads))
    assert seen <= fingerprints and len(seen) > 3, (len(seen), len(fingerprints))
    client = server.connect(tls_name="a.example.org")
    assert client.certificate == fingerprint(server.certificates[0][0])
    client.close()
    return f"12 reloads, {sum(load.commands for load in loads)} commands, {sum(load.visits for load in loads)} handshakes, " \
           f"{len(seen)} certificates seen"


def serve_and_reload(program):
    folder = tempfile.mkdtemp(prefix="penfold-tls-")
    server = Server(program, folder)
    try:
        server.start()
        server.cli("domain", "add", "example.org")
        server.cli("account", "add", "ann@example.org", password=PASSWORD)
        remark = reload_under_load(server, folder)
        assert server.stop() == 0
        return remark
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def main(program):
    tap = Tap()
    with Demo(program) as demo:
        slow = SlowHandshakes(demo.imaps)
        tap.run("slow handshakes do not hold up others", others_are_served, demo, slow)
        tap.run("IMAP: what came before the handshake is thrown away", imap_injections, demo)
        tap.run("IMAP: what was half done in clear is forgotten", imap_state_is_forgotten, demo)
        tap.run("POP3: what came before the handshake is thrown away", pop3_injections, demo)
        tap.run("POP3: the user named in clear is forgotten", pop3_user_is_forgotten, demo)
        tap.run("LMTP offers no STARTTLS and takes none", lmtp_has_none, demo)
        tap.run("SSL 3, TLS 1.0 and 1.1 are refused", old_versions, demo)
        tap.run("a downgrade from TLS 1.3 is marked", downgrade_is_marked, demo)
        tap.run("an inappropriate fallback is refused", fallback_is_refused, demo)
        tap.run("ciphers without forward secrecy and authentication are refused", weak_ciphers, demo)
        tap.run("what is no handshake gets nowhere", no_handshakes_at_all, demo)
        tap.run("a client that wants another protocol is refused", other_protocol, demo)
        tap.run("renegotiation is refused", renegotiation, demo)
        tap.run("certificates are replaced under load and nobody is dropped", serve_and_reload, program)
        tap.run(f"a slow handshake ends after {HANDSHAKE_S} s", slow.verdict)
        tap.run("one that stops after a whole hello, too", slow.silent_verdict)
    tap.done()


main(sys.argv[1])
