"""Limits that parallel sessions try to pass together: never over, and what is counted afterwards is what is there.

    test_races.py PENFOLD
"""
import os
import re
import shutil
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from served import PASSWORD, Server
from tap import Tap
from wire import Lmtp

SESSIONS = 20
QUOTA = 1 << 20
KEYWORDS = 64  # STORE_KEYWORDS_MAX
MESSAGES_MAX = 1000  # as low as the configuration takes it
SESSIONS_MAX = 7


def message(number, size):
    head = b"From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n" % (number, number)
    return head + b"x" * (size - len(head) - 2) + b"\r\n"


def together(work, count=SESSIONS):
    """work(i) in as many threads, begun at once; their results in order. What one raises is raised here."""
    start, results, wrong = threading.Barrier(count), [None] * count, []

    def run(i):
        try:
            start.wait(30)
            results[i] = work(i)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if wrong:
        raise wrong[0]
    return results


def sizes(server, user, mailboxes=(b"INBOX",)):
    """[bytes] of everything there, as FETCH says; what stands in several mailboxes is one email."""
    client, found = server.login(user), {}
    for mailbox in mailboxes:
        client.good(b"SELECT " + mailbox)
        for line in client.good(b"UID FETCH 1:* (RFC822.SIZE EMAILID)")[1]:
            if b"FETCH" in line:
                found[re.search(rb"EMAILID \(([^)]+)\)", line).group(1)] = int(re.search(rb"RFC822\.SIZE (\d+)", line).group(1))
    client.close()
    return list(found.values())


def counters(server, user):
    info = server.cli("account", "info", user, "--json")
    return info["used_messages"], info["used_bytes"]


def exact(server, user, mailboxes=(b"INBOX",)):
    there = sizes(server, user, mailboxes)
    assert counters(server, user) == (len(there), sum(there)), (counters(server, user), len(there), sum(there))
    return there


def quota(server):
    """IMAP and LMTP together: every size fits in itself, all of them not."""
    user, size, tries = "quota@example.org", 20000, 6
    clients = [server.login(user) if i % 2 else Lmtp(server.lmtp) for i in range(SESSIONS)]

    def work(i):
        taken = []
        for j in range(tries):
            bytes_ = size + 7 * i + j
            body = message(i * 100 + j, bytes_)
            if i % 2:
                status, text, _ = clients[i].append(b"INBOX", body)
                assert status == b"OK" or b"[OVERQUOTA]" in text, (status, text)
                taken.append(status == b"OK")
            else:
                code = clients[i].send([user], body)[0]
                assert code in (250, 552, 452), code
                taken.append(code == 250)
        return taken

    results = together(work)
    for client in clients:
        client.close()
    there = exact(server, user)
    assert sum(there) <= QUOTA, sum(there)
    assert sum(there) > QUOTA - size - 2000, f"only {sum(there)} of {QUOTA} were let in"
    taken = sum(sum(result) for result in results)
    assert len(there) == taken < SESSIONS * tries, (len(there), taken)
    return f"{taken} of {SESSIONS * tries} messages, {sum(there)} of {QUOTA} bytes"


def quota_in_tens(server):
    """The same by MULTIAPPEND, which takes all or nothing, while others copy, which costs no room."""
    user, size = "copies@example.org", 10000
    first = server.login(user)
    first.good(b"CREATE Copies")
    for i in range(10):
        assert first.append(b"INBOX", message(i, size))[0] == b"OK"
    clients = [server.login(user) for _ in range(SESSIONS)]

    def work(i):
        if i % 2:
            clients[i].good(b"SELECT INBOX")
            for _ in range(3):
                clients[i].good(b"COPY 1:10 Copies")
            return 0
        done = 0
        for j in range(3):
            bodies = [message(i * 100 + j, size) for _ in range(10)]
            status, text, _ = clients[i].command(b"APPEND Copies " + b" ".join(b"{%d+}\r\n" % len(body) + body for body in bodies))
            assert status == b"OK" or b"[OVERQUOTA]" in text, text
            done += 10 * (status == b"OK")
        return done

    done = sum(together(work))
    for client in clients + [first]:
        client.close()
    there = exact(server, user, (b"INBOX", b"Copies"))
    assert sum(there) <= QUOTA and len(there) == 10 + done, (sum(there), len(there), done)
    assert sum(there) > QUOTA - 11 * size, sum(there)
    return f"{done} messages in tens"


def room_again(server):
    """Some expunge what others fill: counters never drift."""
    user = "drift@example.org"
    clients = [server.login(user) for _ in range(SESSIONS)]

    def work(i):
        for j in range(6):
            if i % 2:
                clients[i].append(b"INBOX", message(i * 100 + j, 30000))
            else:
                clients[i].good(b"SELECT INBOX")
                clients[i].good(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
                clients[i].good(b"EXPUNGE")

    together(work)
    for client in clients:
        client.close()
    there = exact(server, user)
    assert sum(there) <= QUOTA
    client = server.login(user)
    client.good(b"SELECT INBOX")
    client.good(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.good(b"EXPUNGE")
    client.close()
    assert counters(server, user) == (0, 0), counters(server, user)


def one_name(server):
    """The same mailbox made by all, renamed by all, deleted by all: one each time, and the others are told why."""
    user = "names@example.org"
    clients = [server.login(user) for _ in range(SESSIONS)]
    for command, code in ((b"CREATE One", b"[ALREADYEXISTS]"), (b"RENAME One Two", b"[NONEXISTENT]"), (b"DELETE Two", b"[NONEXISTENT]")):
        answers = together(lambda i: clients[i].command(command)[:2])
        assert [status for status, _ in answers].count(b"OK") == 1, answers
        assert all(text.startswith(code) for status, text in answers if status != b"OK"), answers
    names = together(lambda i: [clients[i].command(b"CREATE Box/%d/%d" % (i % 5, j))[0] for j in range(10)])
    assert sum(status == b"OK" for result in names for status in result) == 50, names
    listed = clients[0].good(b'LIST "" "Box*"')[1]
    assert len(listed) == len(set(listed)) == 1 + 5 + 50, len(listed)
    for client in clients:
        client.close()


def keywords(server):
    """Different new ones from everybody: as many as a mailbox may have, no more."""
    user = "keywords@example.org"
    clients = [server.login(user) for _ in range(SESSIONS)]
    assert clients[0].append(b"INBOX", message(1, 1000))[0] == b"OK"

    def work(i):
        clients[i].good(b"SELECT INBOX")
        taken = []
        for j in range(6):
            status, text, _ = clients[i].command(b"STORE 1 +FLAGS (K%d-%d)" % (i, j))
            assert status == b"OK" or b"[LIMIT]" in text, text
            taken += [b"K%d-%d" % (i, j)] * (status == b"OK")
        return taken

    taken = {keyword for result in together(work) for keyword in result}
    for client in clients:
        client.close()
    client = server.login(user)
    untagged = client.good(b"SELECT INBOX")[1]
    flags = next(line for line in untagged if line.startswith(b"* FLAGS"))
    set_ = re.search(rb"FLAGS \(([^)]*)\)", client.good(b"FETCH 1 FLAGS")[1][0]).group(1).split()
    client.close()
    assert len(taken) == KEYWORDS and len(re.findall(rb"K\d+-\d+", flags)) == KEYWORDS, (len(taken), flags)
    assert {flag for flag in set_ if flag.startswith(b"K")} == taken


def messages(server):
    """APPEND, COPY and LMTP together: as many messages as an account may have, no more."""
    user = "many@example.org"
    clients = [server.login(user) if i % 3 else Lmtp(server.lmtp) for i in range(SESSIONS)]
    first = server.login(user)
    assert first.append(b"INBOX", message(1, 500))[0] == b"OK"

    def work(i):
        if i % 3:
            clients[i].good(b"SELECT INBOX")
        taken = 0
        for j in range(75):
            if i % 3 == 0:
                code = clients[i].send([user], message(i * 100 + j, 500))[0]
                assert code in (250, 552), code
                taken += code == 250
                continue
            status, text, _ = clients[i].command(b"COPY 1 INBOX") if i % 3 == 1 else clients[i].append(b"INBOX", message(i * 100 + j, 500))
            assert status == b"OK" or b"[OVERQUOTA]" in text, (status, text)
            taken += status == b"OK"
        return taken

    results = together(work)
    there = int(re.search(rb"MESSAGES (\d+)", first.good(b"STATUS INBOX (MESSAGES)")[1][0]).group(1))
    for client in clients + [first]:
        client.close()
    assert there == 1 + sum(results) == MESSAGES_MAX, (there, sum(results))
    return f"{sum(results)} of {75 * SESSIONS} went in"


def sessions(server):
    """Logins of one account at once: as many sessions as it may have, and the others are told."""
    user = "sessions@example.org"
    clients = [server.connect(tls_name="a.example.org" if i % 2 else None) for i in range(SESSIONS)]

    def work(i):
        clients[i].sock.sendall(f"a LOGIN {user} \"{PASSWORD}\"\r\n".encode())
        line = clients[i].file.readline()
        assert line.startswith((b"a OK", b"* BYE [LIMIT]")), line
        return line.startswith(b"a OK")

    for _ in range(5):
        in_ = together(work)
        assert sum(in_) == SESSIONS_MAX, sum(in_)
        assert server.cli("account", "info", user, "--json")["sessions"]["imap"] == SESSIONS_MAX
        for client in clients:
            client.file.close()
            client.close()
        server.wait_for(lambda: server.cli("account", "info", user, "--json")["sessions"]["imap"] == 0)
        clients = [server.connect(tls_name="a.example.org" if i % 2 else None) for i in range(SESSIONS)]
    for client in clients:
        client.close()


def uids(server):
    """Everybody is told a UID of its own, and each UID is of that message."""
    user = "uids@example.org"
    clients = [server.login(user) for _ in range(SESSIONS)]

    def work(i):
        return {int(re.search(rb"APPENDUID \d+ (\d+)", clients[i].append(b"INBOX", message(i * 100 + j, 500))[1]).group(1)): i * 100 + j
                for j in range(10)}

    told = {}
    for result in together(work):
        assert not told.keys() & result.keys()
        told.update(result)
    clients[0].good(b"SELECT INBOX")
    for line in clients[0].good(b"UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")[1]:
        uid, subject = re.search(rb"UID (\d+)", line), re.search(rb"Subject: (\d+)", line)
        assert told.pop(int(uid.group(1))) == int(subject.group(1))
    assert not told
    for client in clients:
        client.close()


def main(program):
    tap, folder = Tap(), tempfile.mkdtemp(prefix="penfold-races-")
    server = Server(program, folder)
    server.write_config(throttle_loopback="no", shards=2, messages_max=MESSAGES_MAX)
    try:
        server.start()
        server.cli("domain", "add", "example.org")
        for name in ("quota", "copies", "drift", "names", "keywords", "uids", "many", "sessions"):
            limited = ("--quota", "1M") if name in ("quota", "copies", "drift") else ()
            server.cli("account", "add", name + "@example.org", *limited, password=PASSWORD)
        tap.run(f"{SESSIONS} sessions fill a quota by APPEND and LMTP", quota, server)
        tap.run("the same by MULTIAPPEND, all or nothing, beside COPY", quota_in_tens, server)
        tap.run("some expunge while others fill: counters are exact", room_again, server)
        tap.run("one mailbox of a name, whoever makes it", one_name, server)
        tap.run("as many keywords as a mailbox may have", keywords, server)
        tap.run("a UID for each, and the right one", uids, server)
        tap.run("as many messages as an account may have", messages, server)
        tap.ok(server.stop() == 0, "it ends in order")
        server.write_config(throttle_loopback="no", shards=2, sessions_per_account=SESSIONS_MAX)
        server.start()
        tap.run("as many sessions as an account may have", sessions, server)
        tap.ok(server.stop() == 0, "it ends in order again")
        tap.run("the store is sound", lambda: server.cli("check").strip().splitlines()[-1])
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


main(sys.argv[1])
