"""The real `penfold serve -c FILE`: starting, stopping, reloading, crashing, and the command line beside it.

    test_serve.py PENFOLD
"""
import base64
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from served import ENVIRONMENT, PASSWORD, Server, fingerprint, make_certificate
from tap import Tap
from wire import Imap, Lmtp

NEW_PASSWORD, WRONG = "the second one 21", "not even close 55"
SECRETS = (PASSWORD, NEW_PASSWORD, WRONG)
FAR_COMMANDS = ("link set lo up", "address add 192.0.2.1/32 dev lo")
CONTENT = "the secret recipe of the house"


def own_network():
    return ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])


def message(subject="hello", size=0):
    filler = "".join("%076d\r\n" % i for i in range(size // 78))
    return (f"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
            f"{CONTENT}\r\n{filler}").encode()


def at_end(client):
    """What the server still says, to the end of the connection."""
    return client.file.read()


# ---- Before anything serves ----

def bad_configurations(server):
    path = server.config_path
    good = "listen_imap = 127.0.0.1:%d\n" % server.imap
    chain, key = server.certificates[0]
    cases = [
        ("retenton = 30d\n", path + ":1: there is no key 'retenton'"),
        ("\n\nlisten_imap = mail.example.org:143\n", path + ":3: listen_imap: an address is in numbers"),
        ("retention = soon\n", path + ":1: retention: must be a time such as"),
        ("hostname = a\nhostname = b\n", path + ":2: hostname is given twice"),
        ("# nothing\n", path + ": nothing to listen on"),
        (good, path + ": tls_certificate is missing"),
        (good + "tls_certificate = /nonexistent/a.pem /nonexistent/a.key\n", "/nonexistent/a.pem: No such file"),
        (good + f"tls_certificate = {chain} {server.certificates[1][1]}\n", "its key does not belong to it"),
        (good + f"tls_certificate = {path} {key}\n", f"{path}: tls_certificate = {path} {key}: "),
    ]
    for text, complaint in cases:
        with open(path, "w") as file:
            file.write(text)
        for more in ((), ("--test",)):
            done = subprocess.run([server.program, "serve", "-c", path, *more], capture_output=True, text=True, env=ENVIRONMENT)
            assert done.returncode == 1 and complaint in done.stderr, (text, done)
            assert done.stderr.count("\n") == 1, done.stderr
    server.write_config()
    done = subprocess.run([server.program, "serve", "-c", path, "--test"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0 and not os.path.exists(server.data), done
    done = subprocess.run([server.program, "serve", "-c", path + ".none"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1 and path + ".none: No such file" in done.stderr, done


def not_understood(server):
    for arguments in ((), ("frobnicate",), ("serve", "--frobnicate"), ("account", "frobnicate"), ("account", "add"),
                      ("demo",), ("demo", "--dir", "/tmp", "--base-port", "70000")):
        done = subprocess.run([server.program, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
        assert done.returncode == 2 and done.stderr, (arguments, done)


def manage(server, suffix):
    """Everything there is to manage; the same with and without a running server."""
    domain, ann, bob = f"{suffix}.example", f"ann@{suffix}.example", f"bob@{suffix}.example"
    server.cli("account", "add", ann, status=1, password=PASSWORD)  # the domain is not served
    server.cli("domain", "add", domain)
    assert "already" in server.cli("domain", "add", domain, status=1)
    assert domain in json.dumps(server.cli("domain", "list", "--json"))
    server.cli("account", "add", ann, password=PASSWORD)
    server.cli("account", "add", ann, status=1, password=PASSWORD)
    server.cli("account", "add", bob, "--quota", "1M", password=PASSWORD)
    listed = server.cli("account", "list", domain, "--json")
    assert [a["address"] for a in listed] == [ann, bob], listed
    info = server.cli("account", "info", bob, "--json")
    assert info["quota_bytes"] == 1 << 20 and len(info["mailboxes"]) == 6 and info["used_messages"] == 0, info
    server.cli("alias", "add", f"both@{domain}", ann, bob)
    assert f"both@{domain}" in json.dumps(server.cli("alias", "list", "--json"))
    server.cli("alias", "delete", f"both@{domain}")
    server.cli("account", "passwd", ann, password=NEW_PASSWORD)
    server.cli("domain", "delete", domain, status=1)  # it has accounts
    server.cli("account", "delete", ann, "--yes")
    server.cli("account", "info", ann, status=1)
    server.cli("account", "delete", bob, "--yes")
    server.cli("domain", "delete", domain)


def accounts(server):
    server.cli("domain", "add", "example.org")
    for name in ("ann", "bob", "cat", "dan", "eve", "fay"):
        server.cli("account", "add", name + "@example.org", password=PASSWORD)


# ---- Running ----

def starts_and_tells_the_manager(server):
    path = os.path.join(server.folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(20)
        server.start(dict(ENVIRONMENT, NOTIFY_SOCKET=path))
        assert sock.recv(100) == b"READY=1"
    os.unlink(path)


def children_hold_nothing_of_others(server):
    """Gates: listeners, channel, control, loop. Core: nothing of the gates'."""
    ports = {"%04X" % port: port for port in (server.imap, server.imaps, server.pop3, server.lmtp)}
    inodes = {}
    with open("/proc/net/tcp") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = ports.get(fields[1].split(":")[1])

    def listens(pid):
        links = [os.readlink(path) for path in glob.glob(f"/proc/{pid}/fd/*")]
        return {inodes[link[8:-1]] for link in links if link.startswith("socket:[") and inodes.get(link[8:-1])}

    assert listens(server.wait_for(lambda: server.children("penfold-gate"))[0]) == {server.imap, server.imaps, server.pop3}
    assert listens(server.children("penfold-core")[0]) == {server.lmtp}


def sessions_are_counted(server):
    imap = server.login("ann@example.org")
    assert server.cli("account", "info", "ann@example.org", "--json")["sessions"]["imap"] == 1
    assert "sessions  1 IMAP" in server.cli("account", "info", "ann@example.org")
    assert server.cli("status", "--json")["sessions"]["imap"] == 1
    imap.good(b"LOGOUT")
    server.wait_for(lambda: server.cli("account", "info", "ann@example.org", "--json")["sessions"]["imap"] == 0)


def mail_over_a_unix_socket(server):
    lmtp = Lmtp(server.lmtp_path)
    assert lmtp.send(["ann@example.org", "nobody@example.org"], message("through a path")) == [250, 550]
    lmtp.close()
    imap = server.login("ann@example.org")
    imap.good(b"SELECT INBOX")
    assert imap.good(b'SEARCH SUBJECT "through a path"')[1] != [b"* SEARCH"]
    imap.close()


def password_changes_at_once(server):
    session = server.login("bob@example.org")
    server.cli("account", "passwd", "bob@example.org", password=NEW_PASSWORD)
    assert b"AUTHENTICATIONFAILED" in server.refused("bob@example.org", PASSWORD)
    server.login("bob@example.org", NEW_PASSWORD).close()
    session.good(b"NOOP")


def disabled_and_deleted(server):
    cat, dan = server.login("cat@example.org"), server.login("dan@example.org")
    server.cli("account", "set", "cat@example.org", "--disable")
    assert b"BYE" in at_end(cat)
    server.refused("cat@example.org", PASSWORD)
    lmtp = Lmtp(server.lmtp)
    assert lmtp.send(["cat@example.org"], message()) == [450]
    server.cli("account", "set", "cat@example.org", "--enable")
    server.login("cat@example.org").close()
    server.cli("account", "delete", "dan@example.org", "--yes")
    assert b"BYE" in at_end(dan)
    server.refused("dan@example.org", PASSWORD)
    assert lmtp.send(["dan@example.org"], message()) == [550]
    server.cli("account", "set", "cat@example.org", "--allow", "pop3")
    server.refused("cat@example.org", PASSWORD)


def quota(server):
    server.cli("account", "set", "eve@example.org", "--quota", "100K")
    lmtp = Lmtp(server.lmtp)
    assert lmtp.send(["eve@example.org"], message("first", 60000)) == [250]
    lmtp.command(b"MAIL FROM:<a@example.org>")
    code, lines = lmtp.command(b"RCPT TO:<eve@example.org>")
    if code == 250:
        lmtp.command(b"DATA")
        code, lines = lmtp.command(message("second", 60000) + b".")
    assert lines[-1].startswith(b"552 5.2.2"), lines
    imap = server.login("eve@example.org")
    status, text, _ = imap.append(b"INBOX", message("third", 60000))
    assert status == b"NO" and b"[OVERQUOTA]" in text, (status, text)
    server.cli("account", "set", "eve@example.org", "--quota", "none")
    server.wait_for(lambda: imap.append(b"INBOX", message("third", 60000))[0] == b"OK")  # sessions learn of it within a tick


# ---- Certificates and SIGHUP ----

def reload(server, outcome="event=reloaded"):
    start = server.log_size()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log(outcome, start)
    if outcome == "event=reloaded":
        server.wait_for_log("event=certificates-replaced", start)
    return server.log(start)


def shown(server, name):
    client = server.connect(tls_name=name)
    client.close()
    return client.certificate


def new_certificates(server):
    (a, _), (b, _) = server.certificates
    assert shown(server, "a.example.org") == fingerprint(a) and shown(server, "b.example.org") == fingerprint(b)
    assert shown(server, "other.example.org") == fingerprint(a)
    old = server.login("ann@example.org", tls_name="a.example.org")
    make_certificate(server.folder, "a", "a.example.org")
    assert shown(server, "a.example.org") == old.certificate
    reload(server)
    assert shown(server, "a.example.org") == fingerprint(a) != old.certificate
    assert shown(server, "b.example.org") == fingerprint(b)
    old.good(b"NOOP")
    old.good(b"LOGOUT")


def broken_certificate(server):
    a, before = server.certificates[0][0], shown(server, "a.example.org")
    with open(a) as file:
        good = file.read()
    with open(a, "w") as file:
        file.write("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    said = reload(server, "event=reload-refused.*")
    assert a in said and server.config_path in said, said
    assert shown(server, "a.example.org") == before
    with open(a, "w") as file:
        file.write(good)
    with open(server.config_path, "a") as file:
        file.write("retenton = 1d\n")
    said = reload(server, "event=reload-refused.*")
    assert "there is no key 'retenton'" in said, said
    server.write_config()


def keys_that_need_a_restart(server):
    server.write_config(retention="7d", listen_lmtp="127.0.0.1:1", log_level="debug")
    start = server.log_size()
    assert server.cli("reload") == ""
    server.wait_for_log("event=reloaded", start)
    line = server.wait_for_log("event=reload-needs-restart.*", start).group()
    assert "retention" in line and "listen_*" in line and "hostname" not in line and "data_dir" not in line, line
    server.write_config()
    assert "needs-restart" not in reload(server)


# ---- Processes that die ----

def gate_dies_often(server):
    for _ in range(3):
        gate = server.wait_for(lambda: server.children("penfold-gate"))[0]
        os.kill(gate, signal.SIGKILL)
        server.wait_for(lambda: server.children("penfold-gate") not in ([], [gate]))
    server.wait_for(lambda: can_login(server))


def gate_dies(server):
    plain, tls = server.login("ann@example.org"), server.login("ann@example.org", tls_name="a.example.org")
    gate = server.wait_for(lambda: server.children("penfold-gate"))[0]
    os.kill(gate, signal.SIGKILL)
    try:
        assert at_end(tls) == b""
    except OSError:
        pass  # an end in the middle of TLS
    plain.good(b"NOOP")
    server.wait_for(lambda: server.children("penfold-gate") not in ([], [gate]))
    server.login("ann@example.org", tls_name="a.example.org").good(b"LOGOUT")
    assert shown(server, "a.example.org") == fingerprint(server.certificates[0][0])  # what SIGHUP brought
    plain.good(b"LOGOUT")


def can_login(server, user="ann@example.org"):
    try:
        server.login(user).close()
        return True
    except (OSError, PermissionError):
        return False


def core_dies(server):
    session = server.login("ann@example.org")
    assert session.append(b"INBOX", message("kept"))[0] == b"OK"
    old, start = server.children(), server.log_size()
    os.kill(server.children("penfold-core")[0], signal.SIGKILL)
    server.wait_for_log("event=serving", start)
    server.wait_for(lambda: can_login(server))
    assert not set(old) & set(server.children())
    imap = server.login("ann@example.org")
    assert b"kept" in b"".join(imap.good(b"EXAMINE INBOX")[1] + imap.good(b"FETCH * ENVELOPE")[1])
    imap.good(b"LOGOUT")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def supervisor_dies(server):
    children = server.children()
    server.process.kill()
    server.process.wait()
    server.start()  # at once
    assert not any(alive(pid) for pid in children)
    assert can_login(server)


# ---- The end ----

def ends_while_clients_idle(server):
    clients = [server.login("ann@example.org"), server.login("ann@example.org", tls_name="a.example.org"), server.connect(),
               server.connect(tls_name="b.example.org")]
    for client in clients[:2]:
        client.good(b"SELECT INBOX")
        client.send(b"IDLE")
        assert client.line().startswith(b"+ ")
    assert server.stop() == 0
    for client in clients:
        assert b"* BYE" in at_end(client)
    said = server.log()[-600:]
    assert "event=store-closed" in said and "event=stopped" in said, said


def finishes_commands(server):
    """SIGTERM to every process, as some service managers do it, while answers are on their way."""
    server.start()
    size = 8 << 20
    imap = server.login("fay@example.org")
    assert imap.append(b"INBOX", message("long", size))[0] == b"OK"
    fetching = [server.login("fay@example.org", tls_name=name) for name in (None, "a.example.org")]
    for client in fetching:
        client.good(b"SELECT INBOX")
        client.tag = client.send(b"FETCH 1 BODY.PEEK[]")
        client.begin = client.file.readline()
    lmtp = Lmtp(server.lmtp)
    lmtp.command(b"MAIL FROM:<a@example.org>")
    lmtp.command(b"RCPT TO:<fay@example.org>")
    lmtp.command(b"DATA")
    lmtp.sock.sendall(message("half"))
    os.killpg(server.process.pid, signal.SIGTERM)
    time.sleep(0.2)
    lmtp.sock.sendall(b".\r\n")
    assert lmtp.reply()[0] == 250
    rests = [None] * len(fetching)

    def read(i):
        rests[i] = fetching[i].file.read()

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(fetching))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    for client, rest in zip(fetching, rests):
        assert len(rest) > size - 100 and client.tag + b" OK" in rest[-200:] and b"* BYE" in rest[-200:], rest[-200:]
    assert server.process.wait(30) == 0


def stop_by_command(server):
    server.start()
    server.cli("stop")
    assert server.process.wait(30) == 0


# ---- Who may not ----

def locked_data(server, other):
    other.data = server.data
    other.write_config()
    with open(other.log_path, "wb") as log:
        return subprocess.Popen([other.program, "serve", "-c", other.config_path], stderr=log, env=ENVIRONMENT)


def locked_is_said(process, other):
    assert process.wait(30) == 1
    assert re.search(r'event=core-start-failed step="data directory" error="in use by another process"', other.log()), other.log()


def foreign_data(program, folder):
    other = Server(program, folder)
    other.write_config(user="daemon")
    os.makedirs(os.path.join(other.data, "journal"))
    done = subprocess.run([program, "serve", "-c", other.config_path], capture_output=True, text=True, env=ENVIRONMENT, timeout=30)
    assert done.returncode == 1 and "journal belongs to user 0, but the server is to run as daemon" in done.stderr, done
    os.rename(os.path.join(other.data, "journal"), os.path.join(other.data, "lost+found"))
    os.chmod(folder, 0o755)
    try:
        other.start()
        assert all(os.stat(f"/proc/{pid}").st_uid for pid in other.children() + [other.process.pid])
        assert os.stat(os.path.join(other.folder, "control")).st_uid == os.stat(other.data).st_uid != 0
        other.cli("domain", "add", "example.org")
        assert other.stop() == 0
        other.cli("domain", "add", "example.net")  # root, with nothing running
        owners = {os.stat(path).st_uid for path in glob.glob(other.data + "/**", recursive=True) if "lost+found" not in path}
        assert 0 not in owners, owners
        other.start()
        assert other.stop() == 0
    finally:
        other.end()


def plain_from_afar(program, folder):
    """In a network namespace of its own, where the server's address is none of loopback's."""
    script = [sys.executable, os.path.abspath(__file__), "--afar", program, folder]
    done = subprocess.run(own_network() + script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def afar(program, folder):
    for command in FAR_COMMANDS:
        subprocess.check_call(["ip"] + command.split())
    server = Server(program, folder, host="192.0.2.1")
    try:
        server.start()
        server.cli("domain", "add", "example.org")
        server.cli("account", "add", "ann@example.org", password=PASSWORD)
        assert b"LOGINDISABLED" in server.connect().greeting
        assert b"PRIVACYREQUIRED" in server.refused("ann@example.org", PASSWORD)
        client = server.connect()
        plain = base64.b64encode(f"\0ann@example.org\0{PASSWORD}".encode())
        assert client.command(b"AUTHENTICATE PLAIN " + plain)[0] in (b"NO", b"BAD")
        server.login("ann@example.org", tls_name="a.example.org").close()
        with socket.create_connection((server.host, server.pop3)) as sock:
            file = sock.makefile("rb")
            file.readline()
            sock.sendall(b"USER ann@example.org\r\nPASS " + PASSWORD.encode() + b"\r\n")
            assert file.readline().startswith(b"-ERR")
        assert server.stop() == 0
        assert PASSWORD not in server.log()
    finally:
        server.end()


# ---- Guessing ----

def scram_first(server, user, source=None):
    client = server.connect(source=source)
    client.sock.sendall(b"a AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(f"n,,n={user},r=abcdef".encode()) + b"\r\n")
    line = client.line()
    assert line.startswith(b"+ "), line
    return client, dict(item.split("=", 1) for item in base64.b64decode(line[2:]).decode().split(","))


def guessing_gets_slower(server):
    server.login("fay@example.org").close()
    times = []
    for _ in range(4):
        start = time.monotonic()
        server.refused("fay@example.org", WRONG, source="127.9.9.9")
        times.append(time.monotonic() - start)
    assert times[0] < 0.9 and times[2] > 0.9 and times[3] > 1.8, times
    # The account is watched from elsewhere, too, also where its name shows only inside SASL.
    client, first = scram_first(server, "fay@example.org", source="127.8.8.8")
    start = time.monotonic()
    proof = base64.b64encode(bytes(32)).decode()
    client.sock.sendall(base64.b64encode(f"c=biws,r={first['r']},p={proof}".encode()) + b"\r\n")
    assert client.line().startswith(b"a NO")
    assert time.monotonic() - start > 0.9
    # The owner, at home, is not held up.
    start = time.monotonic()
    server.login("fay@example.org").close()
    assert time.monotonic() - start < 0.9
    return "%.2f %.2f %.2f %.2f s" % tuple(times)


def salt_of_nobody(server):
    return scram_first(server, "nobody@example.org")[1]["s"]


# ---- The log ----

def log_is_in_order(server):
    text = server.log()
    for secret in SECRETS + (CONTENT, base64.b64encode(f"\0ann@example.org\0{PASSWORD}".encode()).decode(), "BEGIN CERT"):
        assert secret not in text, secret
    logins, logouts = {}, {}
    for line in text.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) event=[a-z-]+( [a-z_]+=(\"[^\"]*\"|[^ \"]+))*$",
                        line), line
        fields = dict(re.findall(r' ([a-z_]+)=("[^"]*"|[^ ]+)', line))
        if fields["event"] in ("login", "logout"):
            assert "account" in fields and "peer" in fields and "proto" in fields, line
            seen = logins if fields["event"] == "login" else logouts
            assert fields["session"] not in seen, line
            seen[fields["session"]] = fields["account"]
    assert len(logins) > 10 and all(logins.get(session) == account for session, account in logouts.items())
    assert re.search(r'event=login account=ann@example\.org device="?robot', text), "the device is named"


# ---- Checking ----

def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 16]))


def check_finds_damage(server):
    assert "is sound" in server.cli("check")
    segments = {path: len(open(path, "rb").read().rstrip(b"\0")) for path in glob.glob(server.data + "/journal/*")}
    path = max(segments, key=segments.get)
    flip(path, segments[path] // 2)
    said = server.cli("check", status=1)
    assert os.path.basename(path).split(".")[0] in said and "put right" in said and "is not sound" in said, said
    assert "is sound" in server.cli("check")
    for at in (segments[path] // 2, segments[path] // 2 + 1):
        flip(path, at)
    said = server.cli("check", status=1)
    assert os.path.basename(path).split(".")[0] in said and "beyond a single bit" in said and "is not sound" in said, said
    for at in (segments[path] // 2, segments[path] // 2 + 1):
        flip(path, at)
    assert "is sound" in server.cli("check")
    return said.splitlines()[0]


def mail_is_packed_again(server):
    """While it serves: the journal gets smaller, mail stays what it was."""
    server.cli("account", "add", "gus@example.org", password=PASSWORD)
    words = [b"All that mail has in common is %d words, of which there are few, and again %d.\r\n" % (i % 17, i % 5) for i in range(1000)]
    imap = server.login("gus@example.org")
    bodies = [b"Subject: %d\r\n\r\n" % i + b"".join(words[i:] + words[:i]) for i in range(40)]
    for body in bodies:
        assert imap.append(b"INBOX", body)[0] == b"OK"
    size, before = (float(word) for word in re.search(r"has ([\d.]+) MB, ([\d.]+) before", server.cli("compact")).groups())
    assert size < before * 0.9, (size, before)
    imap.good(b"SELECT INBOX")
    for number, body in enumerate(bodies, 1):
        assert imap.good(b"FETCH %d BODY.PEEK[]" % number)[1][0].endswith(body + b")"), number
    imap.close()


def index_is_rebuilt(server):
    before = server.cli("account", "info", "fay@example.org", "--json")
    shutil.rmtree(server.data + "/index")
    assert "is sound" in server.cli("check", "--rebuild-index")
    assert server.cli("account", "info", "fay@example.org", "--json") == before
    server.start()
    imap = server.login("fay@example.org")
    assert b"* 2 EXISTS" in imap.good(b"SELECT INBOX")[1]
    assert b"* 2 FETCH" in imap.good(b"FETCH 2 BODY.PEEK[]")[1][-1]
    assert server.stop() == 0


def device_is_named(server):
    client = server.connect()
    client.good(b'ID ("name" "robot" "version" "1")')
    client.good(f'LOGIN "ann@example.org" "{PASSWORD}"'.encode())
    client.good(b"LOGOUT")


# ---- The demo ----

class Demo:
    """By hand, unlike the harness': with a base port, and killed in unfriendly ways."""

    def __init__(self, program, folder):
        self.program, self.folder = program, os.path.join(folder, "deep" * 20, "demo")  # too deep for a socket's address
        os.makedirs(os.path.dirname(self.folder))
        self.base = next(base for base in range(20143, 60000, 10) if all(self.is_free(base + i) for i in range(9)))

    @staticmethod
    def is_free(port):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return sock.connect_ex(("127.0.0.1", port)) != 0

    def start(self, password, users=2):
        self.process = subprocess.Popen(
            [self.program, "demo", "--dir", self.folder, "--users", str(users), "--password", password, "--base-port", str(self.base)],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        return json.loads(self.process.stdout.readline())


def demo_keeps_its_word(program, folder):
    demo = Demo(program, folder)
    try:
        ready = demo.start("first")
        assert list(ready)[:6] == ["ready", "imap", "imaps", "pop3", "pop3s", "lmtp"] and list(ready)[6:] == ["users", "password", "pids", "dir"]
        assert [ready[name] for name in list(ready)[1:6]] == [demo.base + i for i in range(5)]
        assert ready["users"] == ["user0@example.org", "user1@example.org"] and ready["password"] == "first"
        assert ready["pids"][0] == demo.process.pid and len(ready["pids"]) >= 3 and ready["dir"] == os.path.realpath(demo.folder)
        assert Lmtp(ready["lmtp"]).send(["user1@example.org"], message()) == [250]
        demo.process.kill()
        demo.process.wait()
        ready = demo.start("second", users=3)
        assert Imap(ready["imap"], "user2@example.org", "second").good(b"SELECT INBOX")
        assert b"* 1 EXISTS" in Imap(ready["imap"], "user1@example.org", "second").good(b"SELECT INBOX")[1]
        try:
            Imap(ready["imap"], "user1@example.org", "first")
            raise AssertionError("the old password still works")
        except PermissionError:
            pass
        demo.process.terminate()
        assert demo.process.wait(30) == 0
        config = os.path.join(demo.folder, "penfold.conf")
        done = subprocess.run([program, "check", "-c", config], capture_output=True, text=True, env=ENVIRONMENT)
        assert done.returncode == 0 and "is sound" in done.stdout, done
    finally:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.stdout.close()


def able_to_leave_the_network():
    return subprocess.run(own_network() + ["ip"] + FAR_COMMANDS[0].split(), capture_output=True).returncode == 0


def offline(tap, server):
    tap.run("a bad configuration file is refused with file, line and problem", bad_configurations, server)
    tap.run("commands that cannot be understood end with 2", not_understood, server)
    tap.run("the command line works with nothing running", manage, server, "offline")
    tap.run("accounts for what follows", accounts, server)


def running(tap, server, other):
    tap.run("serve starts and says so to the service manager", starts_and_tells_the_manager, server)
    blocked = locked_data(server, other)
    tap.run("each process listens on what is its own only", children_hold_nothing_of_others, server)
    tap.run("the command line works on the running server", manage, server, "online")
    tap.run("sessions are counted", sessions_are_counted, server)
    tap.run("LMTP on a Unix socket", mail_over_a_unix_socket, server)
    tap.run("a new password counts at once", password_changes_at_once, server)
    tap.run("sessions of disabled and deleted accounts end", disabled_and_deleted, server)
    tap.run("a quota holds for LMTP and IMAP", quota, server)
    tap.run("SIGHUP brings new certificates, old sessions go on", new_certificates, server)
    tap.run("a broken file changes nothing", broken_certificate, server)
    tap.run("keys that need a restart are named", keys_that_need_a_restart, server)
    tap.run("a data directory in use is refused with a reason", locked_is_said, blocked, other)
    tap.run("guessing gets slower, the owner is let in", guessing_gets_slower, server)
    tap.run("the device is in the log", device_is_named, server)
    tap.run("penfold compact packs mail again while it is served", mail_is_packed_again, server)
    tap.run("a gate dies: its TLS connections end, plain ones stay", gate_dies, server)
    tap.run("a gate that dies again and again comes back", gate_dies_often, server)
    tap.run("core dies: everything comes back", core_dies, server)
    salt = salt_of_nobody(server)
    tap.run("the supervisor dies: so do the others, and a new one starts at once", supervisor_dies, server)
    tap.ok(salt_of_nobody(server) == salt, "nobody's salt stays the same")
    tap.run("SIGTERM: clients that idle are told BYE", ends_while_clients_idle, server)
    tap.run("SIGTERM: commands in flight are finished", finishes_commands, server)
    tap.run("penfold stop", stop_by_command, server)


def main(program):
    tap, folder = Tap(), tempfile.mkdtemp(prefix="penfold-serve-")
    folders = [os.path.join(folder, name) for name in ("main", "locked", "foreign", "afar", "demo")]
    for path in folders:
        os.mkdir(path)
    os.chmod(folder, 0o755)
    server, other = Server(program, folders[0]), Server(program, folders[1])
    try:
        offline(tap, server)
        running(tap, server, other)
        tap.run("the log is in order, without passwords and mail", log_is_in_order, server)
        tap.run("check is content, finds a flipped bit and says where", check_finds_damage, server)
        tap.run("the index is made anew from the journal", index_is_rebuilt, server)
        tap.run("the demo keeps its word when it starts again", demo_keeps_its_word, program, folders[4])
        if os.geteuid() == 0:
            tap.run("root becomes the user, unless data belongs to somebody else", foreign_data, program, folders[2])
        else:
            tap.skip("root becomes the user, unless data belongs to somebody else", "this is not root")
        if able_to_leave_the_network():
            tap.run("passwords in plain text are refused from afar", plain_from_afar, program, folders[3])
        else:
            tap.skip("passwords in plain text are refused from afar", "no right to make a network namespace here")
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if sys.argv[1] == "--afar":
    afar(sys.argv[2], sys.argv[3])
else:
    main(sys.argv[1])
