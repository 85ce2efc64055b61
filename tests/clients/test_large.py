"""A message of 100 MB goes in and comes out without being held in memory: core's own memory stays flat over LMTP, IMAP and POP3.

Runs the program as it is shipped (PENFOLD_RELEASE), since sanitizers keep freed memory.
"""
import hashlib
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from large import MEBIBYTE, Memory, deliver, digest_of, pieces
from tap import Tap
from wire import Imap, Lmtp

ALLOWED = 24 * MEBIBYTE


def watched(demo, tap, name, function):
    memory = Memory(demo.core())
    memory.start()
    tap.run(name, function)
    grown = memory.grown()
    tap.ok(grown < ALLOWED, f"{name}: memory grew by {grown / MEBIBYTE:.1f} MiB, below {ALLOWED // MEBIBYTE}")


def fetch(demo, want):
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT INBOX")
    imap.send(b"FETCH 1 BODY.PEEK[]")
    size = int(re.search(rb"\{(\d+)\}", imap.file.readline()).group(1))
    digest, left, front = hashlib.sha256(), size, b""
    while left:
        part = imap.file.read(min(left, 65536))
        left -= len(part)
        if front is not None:
            front += part
            if b"From: Ann" in front:
                digest.update(front[front.index(b"From: Ann"):])
                front = None
        else:
            digest.update(part)
    assert digest.hexdigest() == want
    imap.close()


def fetch_piece(demo):
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT INBOX")
    start = time.monotonic()
    for _ in range(20):
        line = imap.good(b"FETCH 1 BODY.PEEK[2]<%d.100>" % (90 * MEBIBYTE))[1][0]
        assert b"{100}" in line, line[:100]
    assert time.monotonic() - start < 10, "a piece costs no more than its frame"
    imap.close()


def slow_reader(demo):
    """Asks for all of it and reads nothing: that costs the server a bounded queue."""
    sock = socket.create_connection(("127.0.0.1", demo.imap))
    sock.sendall(f"a LOGIN {demo.user} {demo.password}\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\n".encode())
    time.sleep(2)
    sock.close()


def retrieve(demo, want):
    sock = socket.create_connection(("127.0.0.1", demo.pop3))
    file = sock.makefile("rb")
    sock.sendall(f"USER {demo.user}\r\nPASS {demo.password}\r\nRETR 1\r\n".encode())
    for _ in range(4):
        file.readline()
    digest, begun = hashlib.sha256(), False
    for line in file:
        if line == b".\r\n":
            break
        begun = begun or line.startswith(b"From: Ann")
        if begun:
            digest.update(line[1:] if line.startswith(b".") else line)
    assert digest.hexdigest() == want
    sock.close()


tap = Tap()
program = os.environ.get("PENFOLD_RELEASE") or sys.argv[1]
want = digest_of(pieces())
with Demo(program) as demo:
    Lmtp(demo.lmtp).send([demo.user + ".nobody"], b"warm up\r\n")
    watched(demo, tap, "98 MiB over LMTP", lambda: deliver(demo))
    watched(demo, tap, "FETCH of all of it", lambda: fetch(demo, want))
    watched(demo, tap, "FETCH of pieces near its end", lambda: fetch_piece(demo))
    watched(demo, tap, "a client that asks and does not read", lambda: slow_reader(demo))
    watched(demo, tap, "RETR", lambda: retrieve(demo, want))
tap.done()
