"""
Every limit that a client can reach, reached over the real server: the protocol's own error, a server that goes on, and memory that stays flat. The
titles are those of the table in ARCHITECTURE.md.

    test_limits.py PENFOLD
"""
import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from served import ENVIRONMENT, PASSWORD, Server
from tap import Tap
from wire import Imap, Lmtp

ANN, BOB = "ann@example.org", "bob@example.org"
MESSAGE_MAX, MESSAGES_MAX = 65536, 1000  # as low as the configuration takes them
CONNECTIONS_MAX, PER_ADDRESS = 60, 5
SESSIONS_MAX = 12
ROUNDS, GROWTH_MAX = 4, 24 << 20  # of resident memory, over all rounds but the first
PEAK_MAX = 160 << 20  # beside what it was before


class Pop:
    def __init__(self, server):
        self.sock = socket.create_connection((server.host, server.pop3), 20)
        self.file = self.sock.makefile("rb")
        self.greeting = self.file.readline()

    def command(self, line):
        self.sock.sendall(line + b"\r\n")
        return self.file.readline()

    def close(self):
        self.sock.close()


def expect(got, pattern):
    assert re.match(pattern, got), f"{got[:300]!r} is not {pattern!r}"


def imap_says(client, bytes_, pattern):
    """The next line after these bytes; the client is left where it is."""
    client.sock.sendall(bytes_)
    expect(client.file.readline(), pattern)


def at_end(client):
    try:
        return client.file.read()
    except ConnectionError:
        return b""


def refused(client, command, pattern):
    """A tagged refusal, and the session goes on."""
    status, text, _ = client.command(command)
    expect(status + b" " + text, pattern)
    client.good(b"NOOP")


# ---- Before login ----

def command_before_login(server):
    client = server.connect()
    imap_says(client, b"a NOOP " + b"x" * 17500, rb"\* BYE Command too long\r\n")
    client = Pop(server)
    client.sock.sendall(b"USER " + b"x" * 17500)
    expect(client.file.readline(), rb"-ERR .*too long")
    for client in (server.connect(), Pop(server)):
        client.sock.sendall(b"a AUTHENTICATE PLAIN\r\n" if isinstance(client, Imap) else b"AUTH PLAIN\r\n")
        expect(client.file.readline(), rb"\+ ")
        client.sock.sendall(b"A" * 17500)
        expect(client.file.readline(), rb"(\* BYE|-ERR) .*too long")


def literal_before_login(server):
    client = server.connect()
    imap_says(client, b"a LOGIN {2049}\r\n", rb"a BAD \[TOOBIG\]")
    imap_says(client, b"b NOOP\r\n", rb"b OK")
    imap_says(client, b"c LOGIN {2049+}\r\n", rb"\* BYE \[TOOBIG\]")


def credential_before_login(server):
    client = server.connect()
    imap_says(client, b"a LOGIN ann {1025+}\r\n" + b"p" * 1025 + b"\r\n", rb"a (NO|BAD) ")
    imap_says(client, b"b LOGIN {1025+}\r\n" + b"u" * 1025 + b" x\r\n", rb"b (NO|BAD) ")
    client.close()
    client = Pop(server)
    expect(client.command(b"USER " + b"u" * 1025), rb"-ERR")
    client.close()


def sasl_before_login(server):
    client = server.connect()
    imap_says(client, b"a AUTHENTICATE PLAIN " + base64.b64encode(b"x" * 12289) + b"\r\n", rb"a (NO|BAD) ")
    client.close()


def bad_commands_before_login(server):
    client = server.connect()
    client.sock.sendall(b"a FROBNICATE\r\n" * 10)
    said = at_end(client)
    assert said.count(b"a BAD") == 10 and said.splitlines()[-1].startswith(b"* BYE Too many"), said
    client = Pop(server)
    client.sock.sendall(b"FROBNICATE\r\n" * 10)
    assert at_end(client).count(b"-ERR") >= 10


def failed_logins(server):
    client = server.connect()
    client.sock.sendall(f"a LOGIN {ANN} wrong\r\n".encode() * 5)
    said = at_end(client)
    assert said.count(b"a NO [AUTHENTICATIONFAILED]") == 5 and said.splitlines()[-1].startswith(b"* BYE Too many"), said


def answers_before_login(server):
    """A client that asks and asks and does not read is not asked for more."""
    client = server.connect()
    client.sock.settimeout(2)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += client.sock.send(b"a CAPABILITY\r\n" * 1000)
    except TimeoutError:
        pass
    client.close()
    assert sent < 64 << 20, "it took everything"


def connections(server):
    clients, last = [], None
    for _ in range(CONNECTIONS_MAX + 1):
        clients.append(Imap.__new__(Imap))
        clients[-1].sock = socket.create_connection((server.host, server.imap), 20)
        clients[-1].file = clients[-1].sock.makefile("rb")
        last = clients[-1].file.readline()
        if last.startswith(b"* BYE"):
            break
    expect(last, rb"\* BYE \[UNAVAILABLE\] Too many connections\r\n")
    assert CONNECTIONS_MAX - 5 <= len(clients) <= CONNECTIONS_MAX + 1, len(clients)
    expect(Pop(server).greeting, rb"-ERR \[SYS/TEMP\] Too many connections\r\n")
    clients.clear()
    server.wait_for(lambda: server.connect().greeting.startswith(b"* OK"))


# ---- IMAP ----

def command_line(server):
    client = server.login(ANN)
    imap_says(client, b"a NOOP " + b"x" * 66000 + b"\r\n", rb"a BAD \[TOOBIG\]")
    imap_says(client, b"b NOOP\r\n", rb"b OK")
    imap_says(client, b"c NOOP " + b"x" * (4 << 20) + b"\r\n", rb"c BAD \[TOOBIG\]")
    client.close()


def literals(server):
    client = server.login(ANN)
    imap_says(client, b"a SEARCH TEXT {1048577}\r\n", rb"a (NO|BAD) \[TOOBIG\]")
    imap_says(client, b"b SEARCH TEXT {1048577+}\r\n" + b"x" * 1048577 + b" TEXT {3+}\r\nabc\r\n", rb"b (NO|BAD) \[TOOBIG\]")
    half = b"{600000+}\r\n" + b"x" * 600000
    imap_says(client, b"c SEARCH TEXT " + half + b" TEXT " + half + b"\r\n", rb"c (NO|BAD) \[TOOBIG\]")
    imap_says(client, b"d NOOP\r\n", rb"d OK")
    imap_says(client, b"e SEARCH TEXT {99999999999+}\r\n", rb"\* BYE \[TOOBIG\]")


def nesting(server):
    client = server.login(ANN)
    client.good(b"SELECT INBOX")
    client.good(b"SEARCH " + b"(" * 40 + b"ALL" + b")" * 40)
    refused(client, b"SEARCH " + b"(" * 60 + b"ALL" + b")" * 60, rb"(NO|BAD) \[LIMIT\]")
    refused(client, b"SEARCH " + b"NOT " * 60 + b"ALL", rb"(NO|BAD) \[LIMIT\]")
    refused(client, b"SEARCH " + b"OR ALL " * 60 + b"ALL", rb"(NO|BAD) \[LIMIT\]")
    refused(client, b"SEARCH " + b"(" * 30000, rb"(NO|BAD) \[LIMIT\]")
    client.close()


def message_sets(server):
    client = server.login(ANN)
    client.good(b"SELECT INBOX")
    client.good(b"UID SEARCH UID " + b",".join([b"1"] * 20000))
    refused(client, b"UID SEARCH UID " + b",".join([b"1"] * 20001), rb"NO \[LIMIT\]")
    refused(client, b"UID FETCH " + b",".join([b"1"] * 20001) + b" FLAGS", rb"NO \[LIMIT\]")
    client.close()


def bad_commands(server):
    client = server.login(ANN)
    client.sock.sendall(b"a FROBNICATE\r\n" * 30)
    said = at_end(client)
    assert said.count(b"a BAD") == 20 and b"* BYE Too many invalid commands\r\n" in said, said[-300:]


def sessions(server):
    """In clear and over TLS, where the gate passes it on."""
    clients = [server.login(ANN, tls_name=None if i else "a.example.org") for i in range(SESSIONS_MAX)]
    for name in (None, "a.example.org"):
        more = server.connect(tls_name=name)
        more.sock.sendall(f"a LOGIN {ANN} \"{PASSWORD}\"\r\n".encode())
        lines = at_end(more).splitlines()
        assert len(lines) == 2 and lines[0].startswith(b"* BYE [LIMIT]") and lines[1].startswith(b"a NO [LIMIT]"), lines
    clients[0].good(b"NOOP")
    clients[0].good(b"LOGOUT")
    clients[0] = server.wait_for(lambda: server.login(ANN))
    for client in clients:
        client.file.close()
        client.close()
    server.wait_for(lambda: server.cli("account", "info", ANN, "--json")["sessions"]["imap"] == 0)


def message_size(server):
    client = server.login(ANN)
    assert b"APPENDLIMIT=%d" % MESSAGE_MAX in client.good(b"CAPABILITY")[1][0]
    assert b"APPENDLIMIT %d" % MESSAGE_MAX in client.good(b"STATUS INBOX (APPENDLIMIT)")[1][0]
    imap_says(client, b"a APPEND INBOX {%d}\r\n" % (MESSAGE_MAX + 1), rb"a NO \[TOOBIG\]")
    body = b"Subject: x\r\n\r\n" + b"x" * MESSAGE_MAX
    status, text, _ = client.append(b"INBOX", body)
    expect(status + b" " + text, rb"NO \[TOOBIG\]")
    client.sock.sendall(b"b APPEND INBOX {%d+}\r\n" % len(body) + body + b"\r\n")
    expect(client.line(), rb"b NO \[TOOBIG\]")
    client.good(b"NOOP")
    client.close()


def messages_at_once(server):
    client = server.login(ANN)
    client.good(b"CREATE Many")
    one = b" {14+}\r\nSubject: x\r\n\r\n"
    status, text, _ = client.command(b"APPEND Many" + one * 1001)
    expect(status + b" " + text, rb"NO \[LIMIT\]")
    assert b"MESSAGES 0" in client.good(b"STATUS Many (MESSAGES)")[1][0]
    client.good(b"DELETE Many")
    client.close()


def names(server):
    client = server.login(ANN)
    refused(client, b"CREATE " + b"n" * 1001, rb"(NO|BAD) ")
    refused(client, b"CREATE " + b"/".join([b"d"] * 21), rb"(NO|BAD) ")
    refused(client, b"RENAME Drafts " + b"/".join([b"d"] * 21), rb"(NO|BAD) ")
    client.good(b"CREATE " + b"/".join([b"d"] * 20))
    client.good(b"CREATE e")
    refused(client, b"RENAME d e/d", rb"NO \[(LIMIT|CANNOT)\]")
    for depth in range(20, 0, -1):
        client.good(b"DELETE " + b"/".join([b"d"] * depth))
    client.good(b"DELETE e")
    client.close()


def mailboxes(server):
    """10,000 of them, by names of twenty levels; as one command may make so many, the last twenty are not counted on."""
    client = server.login(BOB)
    tags = [client.send(b"CREATE " + b"/".join([b"m%d" % i] * 20)) for i in range(502)]
    answers = [client.wait(tag) for tag in tags]
    expect(answers[-1][0] + b" " + answers[-1][1], rb"NO \[LIMIT\]")
    listed = len(client.good(b'LIST "" "*"')[1])
    assert 9980 < listed <= 10000, listed
    refused(client, b"CREATE one", rb"NO \[LIMIT\]")
    client.good(b"DELETE " + b"/".join([b"m0"] * 20))
    client.close()
    return f"{listed} mailboxes"


def messages(server):
    """Copies cost no quota; doubling again and again they would cost all memory."""
    client = server.login(ANN)
    client.good(b"CREATE Copies")
    for _ in range(8):
        assert client.append(b"Copies", b"Subject: x\r\n\r\nx\r\n")[0] == b"OK"
    client.good(b"SELECT Copies")
    while (answer := client.command(b"COPY 1:* Copies")[:2])[0] == b"OK":
        client.good(b"NOOP")
    expect(answer[0] + b" " + answer[1], rb"NO \[OVERQUOTA\]")
    for count in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        client.command(b"COPY 1:%d Copies" % count)
    assert client.append(b"INBOX", b"Subject: x\r\n\r\nx\r\n")[1].startswith(b"[OVERQUOTA]")
    lmtp = Lmtp(server.lmtp)
    assert lmtp.send([ANN], b"Subject: x\r\n\r\nx\r\n") == [552]
    total = sum(int(re.search(rb"MESSAGES (\d+)", line).group(1)) for line in client.good(b'LIST "" "*" RETURN (STATUS (MESSAGES))')[1]
                if line.startswith(b"* STATUS"))
    assert total == MESSAGES_MAX, total
    client.good(b"UNSELECT")
    client.good(b"DELETE Copies")
    client.close()


def keywords(server):
    client = server.login(ANN)
    client.good(b"CREATE Key")
    assert client.append(b"Key", b"Subject: x\r\n\r\nx\r\n")[0] == b"OK"
    client.good(b"SELECT Key")
    refused(client, b"STORE 1 +FLAGS (" + b"k" * 129 + b")", rb"(NO|BAD) \[LIMIT\]")
    client.good(b"STORE 1 +FLAGS.SILENT (" + b" ".join(b"K%d" % i for i in range(64)) + b")")
    refused(client, b"STORE 1 +FLAGS (One)", rb"NO \[LIMIT\]")
    status, text, _ = client.append(b"Key", b"Subject: x\r\n\r\nx\r\n", b"Two")
    expect(status + b" " + text, rb"NO \[LIMIT\]")
    status, text, _ = client.append(b"INBOX", b"Subject: x\r\n\r\nx\r\n", b" ".join(b"K%d" % i for i in range(65)))
    expect(status + b" " + text, rb"(NO|BAD) \[LIMIT\]")
    client.good(b"UNSELECT")
    client.good(b"DELETE Key")
    client.close()


def patterns(server):
    client = server.login(ANN)
    refused(client, b'LIST "" (' + b" ".join([b"a"] * 101) + b")", rb"NO \[LIMIT\]")
    client.command(b'LIST "" ' + b"%*" * 900)
    refused(client, b'LIST "" ' + b"x" * 5000, rb"(NO|BAD|OK) ")
    client.close()


def id_fields(server):
    client = server.login(ANN)
    refused(client, b"ID (" + b" ".join(b'"k%d" "v"' % i for i in range(31)) + b")", rb"BAD Too many fields")
    client.close()


def slow_reader(server):
    """Who asks for more than he takes holds up himself."""
    client = server.login(ANN)
    for _ in range(4):
        assert client.append(b"INBOX", b"Subject: x\r\n\r\n" + b"x" * 50000 + b"\r\n")[0] == b"OK"
    client.good(b"SELECT INBOX")
    client.sock.settimeout(2)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += client.sock.send(b"a FETCH 1:* BODY.PEEK[]\r\n" * 1000)
    except TimeoutError:
        pass
    client.close()
    assert sent < 64 << 20, "it took everything"


def parts_and_fields(server):
    """More than is looked at: the message is kept whole, and what is told of it is bounded."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(1100))
    flat = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 9000
    fields = b"".join(b"X: %d\r\n" % i for i in range(7000)) + b"\r\nbody\r\n"
    addresses = b"To: " + b"a@b, " * 12000 + b"c@d\r\n\r\nbody\r\n"
    client = server.login(ANN)
    client.good(b"CREATE Big")
    for body in (nested, flat, fields, addresses):
        assert len(body) < MESSAGE_MAX, len(body)
        assert client.append(b"Big", body)[0] == b"OK"
    client.good(b"SELECT Big")
    for item in (b"ENVELOPE", b"BODYSTRUCTURE", b"BODY.PEEK[HEADER.FIELDS (To X)]", b"BODY.PEEK[1.1.1.1]"):
        client.good(b"FETCH 1:* " + item)
    for i, body in enumerate((nested, flat, fields, addresses)):
        assert body in client.good(b"FETCH %d BODY.PEEK[]" % (i + 1))[1][0]
    client.good(b"UNSELECT")
    client.good(b"DELETE Big")
    client.close()


# ---- POP3 ----

def pop3_login(server):
    """Waits until nobody else has the maildrop: the last session may just be ending."""
    def attempt():
        client = Pop(server)
        client.command(b"USER " + ANN.encode())
        said = client.command(b"PASS " + PASSWORD.encode())
        assert said.startswith((b"+OK", b"-ERR [IN-USE]")), said
        return client if said.startswith(b"+OK") else None
    return server.wait_for(attempt)


def pop3_line(server):
    client = pop3_login(server)
    expect(client.command(b"NOOP " + b"x" * 600), rb"-ERR Line too long\r\n")
    expect(client.command(b"NOOP"), rb"\+OK")
    client.close()


def pop3_bad_commands(server):
    client = pop3_login(server)
    client.sock.sendall(b"FROBNICATE\r\n" * 30)
    said = at_end(client).splitlines()
    assert len(said) == 21 and said[-1] == b"-ERR Too many errors", said[-2:]


# ---- LMTP ----

def lmtp_line(server):
    client = Lmtp(server.lmtp)
    code, lines = client.command(b"NOOP " + b"x" * 5000)
    assert (code, lines) == (500, [b"500 5.5.2 Line too long"]), lines
    assert client.command(b"NOOP")[0] == 250
    client.close()


def lmtp_bad_commands(server):
    client = Lmtp(server.lmtp)
    client.sock.sendall(b"FROBNICATE\r\n" * 30)
    said = client.file.read().splitlines()
    assert len(said) == 21 and said[-1] == b"421 4.7.0 Too many errors", said[-2:]


def lmtp_recipients(server):
    client = Lmtp(server.lmtp)
    client.command(b"MAIL FROM:<a@example.org>")
    client.sock.sendall(b"".join(b"RCPT TO:<ann+%d@example.org>\r\n" % i for i in range(2001)))
    codes = [client.reply() for _ in range(2001)]
    assert all(code == 250 for code, _ in codes[:2000]), codes[:3]
    expect(codes[2000][1][0], rb"452 4\.5\.3 ")
    client.close()


def lmtp_paths(server):
    client = Lmtp(server.lmtp)
    expect(client.command(b"MAIL FROM:<" + b"a" * 510 + b"@b>")[1][0], rb"50[1-3] 5")
    expect(client.command(b"MAIL FROM:<a@example.org>")[1][0], rb"250 ")
    expect(client.command(b"RCPT TO:<" + b"a" * 510 + b"@b>")[1][0], rb"(501|550|553) 5")
    client.close()
    client = Lmtp(server.lmtp)
    expect(client.command(b"LHLO " + b"a" * 256)[1][0], rb"501 5")
    client.close()


def lmtp_message_size(server):
    client = Lmtp(server.lmtp)
    offered = client.command(b"LHLO x")[1]
    assert b"SIZE %d" % MESSAGE_MAX in [line[4:] for line in offered], offered
    expect(client.command(b"MAIL FROM:<a@example.org> SIZE=%d" % (MESSAGE_MAX + 1))[1][0], rb"552 5\.3\.4 ")
    for size in (MESSAGE_MAX + 1000, 40 << 20):
        client.command(b"MAIL FROM:<a@example.org>")
        client.command(b"RCPT TO:<" + ANN.encode() + b">")
        assert client.command(b"DATA")[0] == 354
        client.sock.sendall(b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * (size // 78) + b".\r\n")
        expect(client.reply()[1][0], rb"552 5\.3\.4 ")
    client.command(b"MAIL FROM:<a@example.org>")
    client.command(b"RCPT TO:<" + ANN.encode() + b">")
    expect(client.command(b"BDAT %d LAST\r\n" % (MESSAGE_MAX + 1) + b"x" * (MESSAGE_MAX - 1))[1][0], rb"552 5\.3\.4 ")
    client.close()


def lmtp_hops(server):
    client = Lmtp(server.lmtp)
    hop = b"Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000\r\n"
    assert client.send([ANN], hop * 90 + b"Subject: x\r\n\r\nx\r\n") == [250]
    client.command(b"MAIL FROM:<a@example.org>")
    client.command(b"RCPT TO:<" + ANN.encode() + b">")
    client.command(b"DATA")
    client.sock.sendall(hop * 101 + b"Subject: x\r\n\r\nx\r\n.\r\n")
    expect(client.reply()[1][0], rb"554 5\.4\.6 ")
    client.close()


def quota(server):
    server.cli("account", "set", ANN, "--quota", "100K")
    lmtp, client = Lmtp(server.lmtp), server.login(ANN)
    client.good(b"SELECT INBOX")
    body = b"Subject: x\r\n\r\n" + b"x" * 40000 + b"\r\n"
    codes = [lmtp.send([ANN], body)[0] for _ in range(4)]
    assert codes[-1] == 552 and set(codes) <= {250, 552}, codes
    status, text, _ = client.append(b"INBOX", body)
    expect(status + b" " + text, rb"NO \[OVERQUOTA\]")
    client.good(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.good(b"EXPUNGE")
    server.cli("account", "set", ANN, "--quota", "none")
    for one in (lmtp, client):
        one.close()


BEFORE_LOGIN = (("a command before login", command_before_login), ("a literal before login", literal_before_login),
                ("a user name, a password", credential_before_login), ("a SASL message", sasl_before_login),
                ("bad commands before login", bad_commands_before_login), ("failed logins of a connection", failed_logins),
                ("answers that wait, before login", answers_before_login), ("connections in all", connections))
IMAP = (("a command line", command_line), ("literals of a command", literals), ("nesting of a search", nesting), ("ranges of a message set", message_sets),
        ("bad commands in a row", bad_commands), ("sessions of an account", sessions), ("size of a message", message_size), ("messages of one APPEND", messages_at_once),
        ("a mailbox name, its levels", names), ("messages of an account", messages), ("keywords, and the name of one", keywords), ("patterns of a LIST", patterns),
        ("fields of an ID", id_fields), ("answers that wait", slow_reader), ("parts, depth, fields and addresses that are looked at", parts_and_fields))
OTHERS = (("a POP3 line", pop3_line), ("bad commands of a POP3 session", pop3_bad_commands), ("an LMTP line", lmtp_line),
          ("bad commands of an LMTP session", lmtp_bad_commands), ("recipients of a message", lmtp_recipients), ("an LMTP path, a name", lmtp_paths),
          ("size of a message over LMTP", lmtp_message_size), ("hops of a message", lmtp_hops), ("quota of an account", quota))
ALL = BEFORE_LOGIN + IMAP + OTHERS


# ---- Memory ----

def memory(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return 1024 * int(re.search(field + r":\s+(\d+)", file.read()).group(1))


def processes(server):
    return {name: server.children("penfold-" + name)[0] for name in ("core", "gate")}


def flat(server):
    """The same limits again and again: nothing is kept of what was refused. Before that, everything was reached once."""
    pids = processes(server)
    before = {name: memory(pid, "VmRSS") for name, pid in pids.items()}
    for _ in range(ROUNDS):
        for _, reach in ALL:
            reach(server)
    assert processes(server) == pids
    grown = {name: memory(pid, "VmRSS") - before[name] for name, pid in pids.items()}
    assert max(grown.values()) < GROWTH_MAX, (before, grown)
    return ", ".join(f"{name}: {before[name] >> 20} MB, {grown[name] / (1 << 20):+.1f} MB in {ROUNDS} rounds" for name in pids)


def peak(server, start):
    """No single one took much for a moment, either."""
    peaks = {name: memory(pid, "VmHWM") - start[name] for name, pid in processes(server).items()}
    assert max(peaks.values()) < PEAK_MAX, peaks
    return ", ".join(f"{name}: at most {peaks[name] >> 20} MB more than at the start" for name in peaks)


# ---- From elsewhere: loopback does not count ----

def own_network():
    return ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])


def afar(program, folder):
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    subprocess.check_call(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"])
    server = Server(program, folder, host="192.0.2.1")
    server.write_config(connections_per_address=PER_ADDRESS)
    try:
        server.start()
        clients = [server.connect(source="192.0.2.1") for _ in range(PER_ADDRESS)]
        assert all(client.greeting.startswith(b"* OK") for client in clients)
        expect(server.connect(source="192.0.2.1").greeting, rb"\* BYE \[UNAVAILABLE\] Too many connections")
        clients.pop().close()
        server.wait_for(lambda: server.connect(source="192.0.2.1").greeting.startswith(b"* OK"))
        assert server.stop() == 0
    finally:
        server.end()


def per_address(program, folder):
    os.makedirs(folder)
    done = subprocess.run(own_network() + [sys.executable, os.path.abspath(__file__), "--afar", program, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run(tap, server):
    options = ENVIRONMENT["ASAN_OPTIONS"] + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=5"
    server.start(dict(ENVIRONMENT, ASAN_OPTIONS=options))
    server.cli("domain", "add", "example.org")
    for user in (ANN, BOB):
        server.cli("account", "add", user, password=PASSWORD)
    start = {name: memory(pid, "VmRSS") for name, pid in processes(server).items()}
    for name, reach in ALL:
        begin = time.monotonic()
        tap.run("limit: " + name, reach, server)
        if time.monotonic() - begin > 3:
            print(f"# {time.monotonic() - begin:.1f} s")
    tap.run("memory stays flat", flat, server)
    tap.run("limit: mailboxes of an account", mailboxes, server)
    tap.run("memory has no peaks", peak, server, start)
    tap.ok(server.stop() == 0, "it ends in order")


def main(program):
    tap, folder = Tap(), tempfile.mkdtemp(prefix="penfold-limits-")
    server = Server(program, folder)
    server.write_config(throttle_loopback="no", message_size_max="64K", messages_max=MESSAGES_MAX, connections_max=CONNECTIONS_MAX,
                        sessions_per_account=SESSIONS_MAX, shards=1)
    try:
        run(tap, server)
        if subprocess.run(own_network() + ["ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
            tap.run("limit: connections of an address", per_address, program, os.path.join(folder, "afar"))
        else:
            tap.skip("limit: connections of an address", "no right to make a network namespace here")
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if sys.argv[1] == "--afar":
    afar(sys.argv[2], sys.argv[3])
else:
    main(sys.argv[1])
