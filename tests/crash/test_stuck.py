"""Clients that stop, say nothing or read one byte a second: they cost neither memory nor anybody else's time, also not in the same account.

    test_stuck.py PENFOLD

Runs the program as it is shipped (PENFOLD_RELEASE), since sanitizers keep freed memory. Takes as long as the time for a login: 60 seconds.
"""
import hashlib
import os
import re
import resource
import select
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo, insecure_tls
from large import MEBIBYTE, Memory, deliver, digest_of, pieces
from messages import small
from tap import Tap
from wire import Imap, Lmtp

SILENT = {"imap": 900, "pop3": 900, "imaps": 200}
# What "at once" means on a machine that does a lot else meanwhile; what waits for another client waits for seconds.
AT_ONCE_S, LOGIN_S, HANDSHAKE_S, SLACK_S = 2.0, 60, 30, 15
ALLOWED = 24 * MEBIBYTE
STEADY_S = 8


def at_once(what, *args):
    start = time.monotonic()
    result = what(*args)
    taken = time.monotonic() - start
    assert taken < AT_ONCE_S, f"took {taken:.1f} s"
    return result


def everything_works(demo, user, box=b"INBOX"):
    """Login, delivery seen by a client that watches, a flag, APPEND, FETCH: each at once."""
    imap = at_once(Imap, demo.imap, user, demo.password)
    lmtp = at_once(Lmtp, demo.lmtp)
    at_once(imap.good, b"SELECT " + box)
    body = small("meanwhile")
    assert at_once(lmtp.send, [user], body) == [250]
    assert at_once(imap.append, box, body)[0] == b"OK"
    at_once(imap.good, b"STORE * +FLAGS (\\Seen)")
    lines = at_once(imap.good, b"FETCH * (FLAGS BODY.PEEK[])")[1]
    assert any(line.endswith(body + b")") for line in lines), lines
    at_once(imap.good, b"STATUS Archive (MESSAGES)")
    imap.close()
    lmtp.close()


# ---- Clients that are stopped ----

class Stopped:
    """A client in a process of its own that stops itself (SIGSTOP) at `yield`, and goes on when told; what it returns must be true."""

    def __init__(self, steps):
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                for _ in steps:
                    os.kill(os.getpid(), signal.SIGSTOP)
                status = 0
            except BaseException as error:
                print(f"# stopped client: {error!r}", file=sys.stderr, flush=True)
            os._exit(status)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), ("the client ended before it stopped", status)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)
        _, status = os.waitpid(self.pid, 0)
        assert status == 0, ("the client that had been stopped", status)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def begin_literal(imap, box, body):
    """APPEND without the line end that Imap.send() puts behind everything."""
    imap.number += 1
    tag = b"a%d" % imap.number
    imap.sock.sendall(tag + b" APPEND " + box + b" {%d+}\r\n" % len(body) + body[:len(body) // 2])
    return tag


def stopped_in_literal(demo, body):
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT Drafts")
    tag = begin_literal(imap, b"Drafts", body)
    yield
    imap.sock.sendall(body[len(body) // 2:] + b"\r\n")
    assert imap.wait(tag)[0] == b"OK"


def stopped_in_fetch(demo, want):
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"EXAMINE INBOX")
    imap.send(b"FETCH 1 BODY.PEEK[]")
    left = int(re.search(rb"\{(\d+)\}", imap.file.readline()).group(1))
    digest, begun = hashlib.sha256(), b""
    yield
    while left:
        part = imap.file.read(min(left, 65536))
        left -= len(part)
        if begun is not None:
            begun += part
            if b"From: Ann" in begun:
                digest.update(begun[begun.index(b"From: Ann"):])
                begun = None
        else:
            digest.update(part)
    assert digest.hexdigest() == want, "another message"


def stopped_in_data(demo, body):
    lmtp = Lmtp(demo.lmtp)
    lmtp.command(b"MAIL FROM:<a@example.org>")
    lmtp.command(b"RCPT TO:<" + demo.user.encode() + b">")
    assert lmtp.command(b"DATA")[0] == 354
    lmtp.sock.sendall(body[:len(body) // 2])
    yield
    lmtp.sock.sendall(body[len(body) // 2:])
    assert lmtp.command(b".")[0] == 250


def count(demo, box):
    imap = Imap(demo.imap, demo.user, demo.password)
    line = imap.good(b"STATUS " + box + b" (MESSAGES)")[1][0]
    imap.close()
    return int(re.search(rb"MESSAGES (\d+)", line).group(1))


def stop_and_go_on(demo, make, box, more):
    """While the client stands still all others are served; then it is served to the end. One that dies instead leaves nothing."""
    client = Stopped(make())
    everything_works(demo, demo.user, box)
    before = count(demo, box)
    client.go_on()
    assert count(demo, box) == before + more
    client = Stopped(make())
    client.kill()
    time.sleep(0.2)
    assert count(demo, box) == before + more, "half a message was kept"
    everything_works(demo, demo.user, box)


# ---- Clients that say nothing ----

class Silent:
    def __init__(self, demo):
        self.socks = {name: [] for name in SILENT}
        self.start = time.monotonic()
        for name, number in SILENT.items():
            for _ in range(number):
                self.socks[name].append(socket.create_connection(("127.0.0.1", getattr(demo, name)), 20))
        self.connected = time.monotonic()

    def last_words(self, name, until):
        """What each of them is told until its connection ends."""
        waiting = {sock.fileno(): (sock, []) for sock in self.socks[name]}
        poll, said = select.poll(), []
        for sock, _ in waiting.values():
            sock.setblocking(False)
            poll.register(sock, select.POLLIN)
        while waiting and time.monotonic() < until:
            for fd, _ in poll.poll(1000):
                sock, got = waiting[fd]
                try:
                    part = sock.recv(4096)
                except ConnectionResetError:
                    part = b""
                if part:
                    got.append(part)
                else:
                    poll.unregister(fd)
                    said.append(b"".join(got))
                    waiting.pop(fd)[0].close()
        assert not waiting, f"{len(waiting)} are still connected"
        return said

    def are_closed(self, name, after, pattern):
        said = self.last_words(name, self.connected + after + SLACK_S)
        ended = time.monotonic() - self.connected
        wrong = [text for text in said if not re.fullmatch(pattern, text)]
        assert len(said) == SILENT[name] and not wrong, (len(said), wrong[:3])
        return f"{len(said)} were closed {ended:.0f} s after the last of them had connected"

    def not_yet(self):
        """None is closed before its time."""
        for name in ("imap", "pop3"):
            for sock in self.socks[name]:
                assert b"BYE" not in sock.recv(4096, socket.MSG_PEEK)


# ---- Clients that read one byte a second ----

class Slow(threading.Thread):
    """Asks for all of the large message and then takes a byte a second of it; `got` is what it has."""

    def __init__(self, demo, tls):
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", demo.imaps if tls else demo.imap))
        if tls:
            self.sock = insecure_tls().wrap_socket(self.sock)
        self.sock.sendall(f"a LOGIN {demo.user} {demo.password}\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\n".encode())
        self.got, self.over = 0, False
        text = b""
        while b"BODY[] {" not in text:
            text += self.sock.recv(1)

    def run(self):
        while not self.over:
            self.got += len(self.sock.recv(1))
            time.sleep(1)
        self.sock.close()


def slow_readers(demo):
    pids = demo.children()
    memory = Memory(*pids)
    memory.start()
    readers = [Slow(demo, tls) for tls in (False, False, True)]
    for reader in readers:
        reader.start()
    end, runs = time.monotonic() + STEADY_S, 0
    while time.monotonic() < end:
        everything_works(demo, demo.user)
        runs += 1
    for reader in readers:
        reader.over = True
        reader.join()
    assert all(reader.got >= 2 for reader in readers), [reader.got for reader in readers]
    grown = memory.grown()
    assert grown < ALLOWED, f"memory of core and gates grew by {grown / MEBIBYTE:.1f} MiB"
    return f"{runs} times everything by others meanwhile; memory of core and gates grew by {grown / MEBIBYTE:.1f} MiB"


def run(tap, demo):
    want = digest_of(pieces())
    deliver(demo)
    for _ in range(3):  # what a server needs to get going is not what clients cost
        everything_works(demo, demo.user)
    silent = Silent(demo)
    taken = silent.connected - silent.start
    tap.ok(taken < HANDSHAKE_S, f"{sum(SILENT.values())} clients connect within {taken:.1f} s and say nothing")
    tap.run("others are served at once", everything_works, demo, demo.users[1])
    large = small("stopped", size=300000)
    for name, make, box, more in [
            ("a literal", lambda: stopped_in_literal(demo, large), b"Drafts", 1),
            ("a FETCH of 98 MiB", lambda: stopped_in_fetch(demo, want), b"INBOX", 0),
            ("DATA", lambda: stopped_in_data(demo, large), b"INBOX", 1)]:
        tap.run(f"a client stopped in the middle of {name}: nobody waits, and it goes on", stop_and_go_on, demo, make, box, more)
    tap.run("clients that read a byte a second of 98 MiB: memory is flat, the same account is served at once", slow_readers, demo)
    tap.run("silent before TLS: closed", silent.are_closed, "imaps", HANDSHAKE_S, rb"")
    tap.run("nobody is closed before its time", silent.not_yet)
    tap.run("silent over IMAP: BYE", silent.are_closed, "imap", LOGIN_S, rb"\* OK [^\r]*\r\n\* BYE You took too long\r\n")
    tap.run("silent over POP3: -ERR", silent.are_closed, "pop3", LOGIN_S, rb"\+OK [^\r]*\r\n-ERR [^\r]*You took too long\r\n")


tap = Tap()
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
program = os.environ.get("PENFOLD_RELEASE") or sys.argv[1]
with Demo(program, users=2) as demo:
    run(tap, demo)
tap.done()
