#!/usr/bin/python3
"""bench-load must believe an honest server, and count as an error whatever a lying one gets wrong: test_load.py BENCH-LOAD"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]
from fake import Fake
from tap import Tap

BOX = ["--kind", "small", "--messages", "20"]


def load(words, **fakes):
    """The generator's result: errors are counted in it, and its exit status says the same."""
    ports = [word for protocol, fake in fakes.items() for word in ("--" + protocol, f"127.0.0.1:{fake.port}")]
    done = subprocess.run([sys.argv[1], words[0], *ports, "--timeout", "1", "--threads", "2", *words[1:]], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert done.returncode == (1 if result["errors"] else 0), done.stderr
    return result


def honest(words, ops, fill=True, protocol="imap"):
    fake = Fake(protocol)
    if fill:
        filled = load(["fill", *BOX], imap=fake)
        assert filled["errors"] == 0 and len(fake.mail) == 20, filled
    result = load(words, **{protocol: fake})
    assert result["errors"] == 0 and result["note"] == "", result
    assert result["ops"] == ops and result["p99_us"] >= result["p50_us"] > 0 and result["rate"] > 0, result


def lying(lie, words, fill=True):
    fake = Fake("imap")
    if fill:
        load(["fill", *BOX], imap=fake)
    fake.lie = lie
    result = load(words, imap=fake)
    assert result["errors"] > 0 and result["note"], result


def filled_with_lie(lie):
    fake = Fake("imap", lie)
    filled = load(["fill", *BOX], imap=fake)
    assert filled["errors"] > 0 or load(["fetch-body", *BOX, "--count", "1"], imap=fake)["errors"] > 0


def lmtp(lie):
    fake = Fake("lmtp", lie)
    result = load(["lmtp", "--kind", "small", "--clients", "3", "--count", "30"], lmtp=fake)
    if lie:
        assert result["errors"] > 0 and result["ops"] == 0, result
    else:
        assert result["errors"] == 0 and result["ops"] == len(fake.mail) == 30, result


def idle(lie):
    imap, lmtp_fake = Fake("imap", lie), Fake("lmtp")
    lmtp_fake.deliver = imap.deliver
    result = load(["idle", "--kind", "small", "--count", "5"], imap=imap, lmtp=lmtp_fake)
    assert (result["errors"] > 0) == bool(lie) and (lie or result["ops"] == 5), result


def pop3(lie, more=()):
    imap = Fake("imap")
    load(["fill", *BOX], imap=imap)
    fake = Fake("pop3", lie)
    fake.mail = imap.mail[:-1] if lie == "wrong count" else imap.mail
    result = load(["pop3", *BOX, *more], pop3=fake)
    assert (result["errors"] > 0) == bool(lie) and (lie or result["ops"] == 20), result


def out_of_memory():
    """What stands in for a server when the limits of FETCH and of logins are measured gives the answers that any other has to give."""
    with subprocess.Popen([sys.argv[1], "--serve", *BOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        fake = types.SimpleNamespace(port=json.loads(process.stdout.readline())["port"])
        logins = load(["login", "--clients", "3", "--count", "9"], imap=fake)
        assert logins["errors"] == 0 and logins["ops"] == 9, logins
        for word in ("fetch-flags", "fetch-envelope", "fetch-header"):
            result = load([word, *BOX, "--count", "2"], imap=fake)
            assert result["errors"] == 0 and result["ops"] == 40, (word, result)
        for word in ("fetch-envelope", "fetch-header"):
            other = load([word, *BOX, "--first", "9"], imap=fake)
            assert other["errors"] > 0 and other["ops"] == 0, (word, other)
        process.stdin.close()


def maildrop_out_of_memory():
    """The same for POP3."""
    with subprocess.Popen([sys.argv[1], "--serve", "--maildrop", *BOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        fake = types.SimpleNamespace(port=json.loads(process.stdout.readline())["port"])
        for words in (["--clients", "3"], ["--pipeline", "7"]):
            result = load(["pop3", *BOX, *words], pop3=fake)
            assert result["errors"] == 0 and result["ops"] == (60 if "--clients" in words else 20), (words, result)
        other = load(["pop3", *BOX, "--first", "9"], pop3=fake)
        assert other["errors"] > 0 and other["ops"] == 0, other
        process.stdin.close()


def bare_taker():
    """What stands in for a server when the limits of taking mail in are measured takes it, and what is not whole is not taken."""
    with tempfile.TemporaryDirectory(prefix="penfold-taker-") as directory:
        path = os.path.join(directory, "log")
        with subprocess.Popen([sys.argv[1], "--serve", "--log", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            ports = json.loads(process.stdout.readline())
            fakes = {"imap": types.SimpleNamespace(port=ports["port"]), "lmtp": types.SimpleNamespace(port=ports["lmtp"])}
            for words in (["lmtp", "--clients", "5"], ["lmtp", "--kind", "small"], ["append", "--clients", "3"]):
                result = load([*words, "--count", "20"], **fakes)
                assert result["errors"] == 0 and result["ops"] == 20, (words, result)
            with open(path, "rb") as file:
                before = file.read().rstrip(b"\0")
            assert len(before) > 60 * 500, len(before)
            with socket.create_connection(("127.0.0.1", ports["lmtp"])) as half:
                half.sendall(b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\nSubject: half\r\n\r\nof it\r\n.\r")
                half.settimeout(0.5)
                said = b""
                try:
                    while True:
                        said += half.recv(4096)
                except TimeoutError:
                    pass
            assert said.splitlines()[-1].startswith(b"354"), said
            with open(path, "rb") as file:
                assert file.read().rstrip(b"\0") == before
            process.stdin.close()


def nobody_there():
    fake = Fake("imap")
    fake.shutdown()
    fake.server_close()
    result = load(["login", "--count", "3"], imap=fake)
    assert result["errors"] > 0 and result["ops"] == 0, result


def main():
    tap = Tap()
    tap.run("a login counts once", honest, ["login", "--clients", "3", "--count", "30"], 30)
    for words, ops in ((["select"], 4), (["store"], 4), (["search"], 4), (["search", "--item", "BODY"], 4), (["fetch-flags"], 80), (["fetch-envelope"], 80), (["fetch-envelope", "--warm", "INBOX"], 80), (["fetch-body"], 80)):
        tap.run(f"an honest server makes no errors: {' '.join(words)}", honest, [*words, *BOX, "--count", "4"], ops)
    tap.run("an honest server makes no errors: append", honest, ["append", "--count", "4"], 4, False)
    for lie in ("wrong tag", "refuses", "silent", "hangs up", "bare LF", "no UIDNEXT", "no BYE"):
        tap.run(f"login: {lie}", lying, lie, ["login", "--kind", "small", "--count", "2"])
    tap.run("select: wrong count", lying, "wrong count", ["select", *BOX, "--count", "2"])
    for lie in ("leaves one out", "says one twice"):
        for word in ("fetch-flags", "fetch-envelope", "fetch-body"):
            tap.run(f"{word}: {lie}", lying, lie, [word, *BOX, "--count", "2"])
    for lie in ("cuts", "another message"):
        tap.run(f"fetch-body: {lie}", lying, lie, ["fetch-body", *BOX, "--count", "2"])
    tap.run("fetch-envelope: another mailbox is read before", lying, "leaves one out", ["fetch-envelope", "--warm", "INBOX", *BOX, "--count", "2"])
    tap.run("fetch-envelope: wrong subject", lying, "wrong subject", ["fetch-envelope", *BOX, "--count", "2"])
    tap.run("store: flag not set", lying, "flag not set", ["store", *BOX, "--count", "2"])
    for lie in ("finds nothing", "finds too much"):
        tap.run(f"search: {lie}", lying, lie, ["search", *BOX, "--count", "16", "--item", "BODY"])
    for lie in ("same UID", "no APPENDUID"):
        tap.run(f"append: {lie}", lying, lie, ["append", "--kind", "small", "--count", "3"], False)
    for lie in ("changed byte", "forgets"):
        tap.run(f"fill: {lie}", filled_with_lie, lie)
    for lie in (None, "not accepted", "no such user"):
        tap.run(f"lmtp: {lie or 'honest'}", lmtp, lie)
    for lie in (None, "tells too many"):
        tap.run(f"idle: {lie or 'honest'}", idle, lie)
    for lie in (None, "changed byte", "changed field", "cuts", "another message", "puts a field in front", "puts a line behind", "stuffs what needs none",
                "no end", "no DELE", "wrong count"):
        tap.run(f"pop3: {lie or 'honest'}", pop3, lie)
        tap.run(f"pop3, pipelined: {lie or 'honest'}", pop3, lie, ["--pipeline", "7"])
    tap.run("answers out of memory: right, and nobody else's", out_of_memory)
    tap.run("a maildrop out of memory: right, and nobody else's", maildrop_out_of_memory)
    tap.run("mail into a bare log: whole, and no half of it", bare_taker)
    tap.run("nobody there", nobody_there)
    tap.done()


main()
