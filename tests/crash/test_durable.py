"""The real program, whose fdatasync waits as long as the test wants: no answer, over whichever protocol, comes before the sync that makes its change
durable, and all come after it.

    test_durable.py PENFOLD LIBRARY     the library of held_fdatasync.c
"""
import glob
import os
import poplib
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

USERS, QUIET_S = 4, 0.3  # users enough for every shard of a small machine


class Holding:
    """with Holding(demo): every sync of core waits; .wait_for_log() until the log's does."""

    def __init__(self, demo):
        self.demo, self.data = demo, os.path.join(demo.directory, "data")
        self.path = os.path.join(self.data, "hold")

    def held(self):
        """Segments of the journal whose sync waits."""
        segments = {os.stat(path).st_ino for path in glob.glob(os.path.join(self.data, "journal", "*.seg"))}
        return segments & {int(path.rpartition("-")[2]) for path in glob.glob(os.path.join(self.data, "held-*"))}

    def __enter__(self):
        open(self.path, "w").close()
        time.sleep(0.05)
        self.before = self.held()  # a spare segment may be in the making
        return self

    def wait_for_log(self):
        self.demo.wait_for(lambda: self.held() - self.before)

    def release(self):
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __exit__(self, kind, value, trace):
        self.release()


def expect_quiet(clients):
    """Long after the change was made and while its sync waits."""
    readable = select.select([client.sock for client in clients], [], [], QUIET_S)[0]
    assert not readable, ("told before the sync", readable[0].recv(1000))


def bystander(demo):
    """The server is not standing still: who changed nothing is answered."""
    imap = Imap(demo.imap, demo.users[-1], demo.password)
    imap.sock.settimeout(5)
    imap.good(b"STATUS INBOX (MESSAGES)")
    imap.close()


def watch(demo):
    """A session of the first user in IDLE."""
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT INBOX")
    imap.send(b"IDLE")
    assert imap.line().startswith(b"+"), "no IDLE"
    return imap


def imap_change(demo, news, command, prepare=b"NOOP"):
    """One session of each user but the last does the same; another one of the first user watches in IDLE, and one asks."""
    sessions = [Imap(demo.imap, user, demo.password) for user in demo.users[:-1]]
    for imap in sessions:
        imap.good(b"SELECT INBOX")
        imap.good(prepare)
    watching, asking = watch(demo), Imap(demo.imap, demo.user, demo.password)
    asking.good(b"SELECT INBOX")
    with Holding(demo) as holding:
        tags = [imap.send(command) for imap in sessions]
        holding.wait_for_log()
        asked = asking.send(b"NOOP")
        expect_quiet(sessions + [watching, asking])
        bystander(demo)
        holding.release()
        for imap, tag in zip(sessions, tags):
            status, text, _ = imap.wait(tag)
            assert status == b"OK", text
        told = watching.line()
        assert told.startswith(news), told
        told = asking.wait(asked)[2]
        assert told and told[0].startswith(news), told
    for imap in sessions + [watching, asking]:
        imap.close()


def lmtp_delivery(demo):
    """250 for each of three accounts, and for the session that watches one of them."""
    watching = watch(demo)
    lmtp = Lmtp(demo.lmtp)
    lmtp.command(b"MAIL FROM:<sender@example.org>")
    for user in demo.users[:-1]:
        assert lmtp.command(b"RCPT TO:<" + user.encode() + b">")[0] == 250
    assert lmtp.command(b"DATA")[0] == 354
    with Holding(demo) as holding:
        lmtp.sock.sendall(small("held") + b".\r\n")
        holding.wait_for_log()
        expect_quiet([lmtp, watching])
        bystander(demo)
        holding.release()
        codes = [lmtp.reply()[0] for _ in demo.users[:-1]]
        assert codes == [250] * (USERS - 1), codes
        assert watching.line().endswith(b" EXISTS")
    lmtp.close()
    watching.close()


def pop3_deletion(demo):
    pop = poplib.POP3("127.0.0.1", demo.pop3, timeout=30)
    pop.user(demo.user)
    pop.pass_(demo.password)
    pop.dele(1)
    with Holding(demo) as holding:
        pop.noop()
        pop.sock.sendall(b"QUIT\r\n")
        holding.wait_for_log()
        expect_quiet([pop])
        bystander(demo)
        holding.release()
        answer = pop.file.readline()
        assert answer.startswith(b"+OK 1 message"), answer
    pop.close()


def fill(demo):
    lmtp = Lmtp(demo.lmtp)
    for number in range(3):
        assert lmtp.send(demo.users, small(number)) == [250] * USERS
    lmtp.close()


def run(tap, demo):
    tap.run("syncs that are not held", fill, demo)
    body = small("appended")
    tap.run("APPEND", imap_change, demo, b"* 4 EXISTS", b"APPEND INBOX {%d+}\r\n" % len(body) + body)
    tap.run("STORE", imap_change, demo, b"* 2 FETCH (", b"STORE 2 +FLAGS (\\Seen)")
    tap.run("MOVE", imap_change, demo, b"* 1 EXPUNGE", b"MOVE 1 Archive")
    tap.run("EXPUNGE", imap_change, demo, b"* 1 EXPUNGE", b"EXPUNGE", b"STORE 1 +FLAGS (\\Deleted)")
    tap.run("LMTP: 250 for each of several accounts", lmtp_delivery, demo)
    tap.run("POP3: QUIT that deletes", pop3_deletion, demo)


tap = Tap()
demo = Demo(sys.argv[1], users=USERS)
demo.wrapper = ["env", "LD_PRELOAD=" + os.path.abspath(sys.argv[2]), "PENFOLD_TEST_HOLD=" + os.path.join(demo.directory, "data")]
with demo:
    run(tap, demo)
tap.done()
