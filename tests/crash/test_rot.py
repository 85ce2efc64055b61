"""Bit rot, with the real program: damage is found, named and mended, by a check of a stopped directory and through a running server; other accounts are
served meanwhile; a lost index costs nothing but time.
"""
import glob
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

MESSAGES, DOUBLINGS = 150, 8
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=0")


class Rotting:
    def __init__(self, program, demo):
        self.program, self.demo = program, demo
        self.index = os.path.join(demo.directory, "data", "index", "data.mdb")

    def check(self, *arguments, status=0):
        done = subprocess.run([self.program, "check", "-c", os.path.join(self.demo.directory, "penfold.conf"), *arguments],
                              capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def fill(self):
        lmtp = Lmtp(self.demo.lmtp)
        for number in range(MESSAGES):
            assert lmtp.send(self.demo.users, small(number)) == [250] * len(self.demo.users)
        self.fill_more()
        self.truth = [self.mail(user) for user in self.demo.users]
        assert all(len(mail) > 1000 for mail in self.truth)

    def fill_more(self):
        """So many copies in the first account that its rows are not made anew in no time."""
        imap = Imap(self.demo.imap, self.demo.users[0], self.demo.password)
        imap.good(b"SELECT INBOX")
        imap.good(b"CREATE Copies")
        imap.good(b"COPY 1:* Copies")
        imap.good(b"SELECT Copies")
        for _ in range(DOUBLINGS):
            imap.good(b"COPY 1:* Copies")
            imap.good(b"NOOP")
        imap.close()

    def mail(self, user):
        imap = Imap(self.demo.imap, user, self.demo.password)
        imap.good(b"SELECT INBOX")
        mail = b"".join(imap.good(b"UID FETCH 1:* (UID FLAGS ENVELOPE BODY.PEEK[])")[1])
        imap.close()
        return mail

    def is_whole(self):
        for user, truth in zip(self.demo.users, self.truth):
            assert self.mail(user) == truth, user

    def flip(self, path, at, bit=3):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << bit]))

    def segment(self):
        """The segment with the most in it, and where its middle is."""
        sizes = {path: len(open(path, "rb").read().rstrip(b"\0")) for path in glob.glob(self.demo.directory + "/data/journal/*.seg")}
        path = max(sizes, key=sizes.get)
        return path, sizes[path] // 2

    def entry_rows(self):
        """Offsets of rows of messages in mailboxes: keys of 12 bytes, values of 44 and a checksum."""
        with open(self.index, "rb") as file:
            data = file.read()
        for page in range(0, len(data), 4096):
            flags, lower = struct.unpack_from("<HH", data, page + 10)
            if flags != 2 or lower > 4096:
                continue
            for at in range(page + 16, page + lower, 2):
                node = page + struct.unpack_from("<H", data, at)[0]
                if node + 8 <= page + 4096 and struct.unpack_from("<HHHH", data, node) == (48, 0, 0, 12):
                    yield node + 8, int.from_bytes(data[node + 8:node + 12], "big")


def stopped(tap, rot):
    def journal():
        path, middle = rot.segment()
        rot.flip(path, middle)
        said = rot.check(status=1)
        assert os.path.basename(path)[:16] in said and "offset" in said and "has been put right" in said, said
        assert "is sound" in rot.check()
        return said.splitlines()[0]

    def pages():
        for at in (16, 10, 4096 + 144):
            rot.flip(rot.index, at)
            said = rot.check(status=1)
            assert re.match(r"index: page [0-9]+: .*made anew from the journal", said), said
            assert "is sound" in rot.check()

    def beyond():
        path, middle = rot.segment()
        for at in range(middle, middle + 8):
            rot.flip(path, at)
        said = rot.check(status=1)
        assert "beyond a single bit" in said, said
        before = os.stat(rot.index).st_ino
        rot.check("--rebuild-index", status=1)
        assert os.stat(rot.index).st_ino == before, "an index that knows more than the journal was thrown away"
        for at in range(middle, middle + 8):
            rot.flip(path, at)
        assert "is sound" in rot.check("--rebuild-index")

    tap.run("a bit of the journal is found, named and put right", journal)
    tap.run("a damaged page of the index is found, named, and the index made anew", pages)
    tap.run("a good index is not thrown away for a damaged journal", beyond)


def starts(tap, rot):
    demo = rot.demo

    def served():
        path, middle = rot.segment()
        rot.flip(path, middle)
        rot.flip(rot.index, 16)
        demo.start()
        rot.is_whole()
        # The start reads it as it was meant. What is in a message is put right on the disk when that is read, all else when somebody looks.
        mended = re.search(f"journal-bit-mended.*segment {os.path.basename(path)[:16]} record at", demo.log())
        said = rot.check(status=0 if mended else 1)
        assert mended or os.path.basename(path)[:16] in said and "has been put right" in said, said
        assert "is sound" in rot.check()
        return "on reading" if mended else "by the check"

    def without_index():
        assert demo.stop() == 0
        shutil.rmtree(os.path.join(demo.directory, "data", "index"))
        began = time.monotonic()
        demo.start()
        took = time.monotonic() - began
        rot.is_whole()
        return f"{took:.1f} s"

    tap.run("a start with damage in journal and index serves everything", served)
    tap.run("a lost index costs nothing but time", without_index)


class Others(threading.Thread):
    """Somebody else's session and deliveries, while an account is mended."""

    def __init__(self, demo):
        super().__init__()
        self.demo, self.ending, self.rounds, self.problem = demo, False, [], None

    def run(self):
        try:
            imap = Imap(self.demo.imap, self.demo.users[2], self.demo.password)
            imap.good(b"SELECT INBOX")
            lmtp = Lmtp(self.demo.lmtp)
            while not self.ending:
                began = time.monotonic()
                assert lmtp.send([self.demo.users[2]], small(5000 + len(self.rounds))) == [250]
                imap.good(b"FETCH 1:20 (FLAGS ENVELOPE)")
                imap.good(b"STORE 1 +FLAGS (\\Flagged)")
                self.rounds.append((began, time.monotonic()))
        except Exception as problem:  # told where it is waited for
            self.problem = problem

    def within(self, begin, end):
        """How long each round took that began and ended in that time."""
        return [over - began for began, over in self.rounds if begin <= began and over <= end]


def running(tap, rot):
    demo = rot.demo

    def sound():
        assert "is sound" in rot.check()

    def damage():
        """In every row of the first account that is not in memory yet."""
        demo.stop()
        demo.start()
        first = min(account for _, account in rot.entry_rows())
        rows = [at for at, account in rot.entry_rows() if account == first]
        for at in rows[5:60:7]:
            rot.flip(rot.index, at + 20)
        said = rot.check(demo.users[0], status=1)
        assert f"index: what it says of {demo.users[0]} is damaged" in said, said
        assert demo.ready["pids"][1] == demo.core()
        assert "is sound" in rot.check(demo.users[1])

    def mended():
        others = Others(demo)
        others.start()
        time.sleep(0.3)
        try:
            begin = time.monotonic()
            said = rot.check("--rebuild-index", demo.users[0], status=1)
            end = time.monotonic()
            rot.check("--rebuild-index", demo.users[0])
            time.sleep(0.3)
        finally:
            others.ending = True
            others.join()
        if others.problem:
            raise others.problem
        assert f"index: what it said of {demo.users[0]} was damaged; it has been made anew" in said, said
        served = others.within(begin, end)
        worst = max(over - began for began, over in others.rounds)
        assert len(served) > 3 and worst < 1, (end - begin, served, worst)
        assert demo.ready["pids"][1] == demo.core()
        rot.check(demo.users[0])
        assert rot.mail(demo.users[0]) == rot.truth[0] and rot.mail(demo.users[1]) == rot.truth[1]
        return f"{len(served)} rounds of somebody else in {1000 * (end - begin):.0f} ms, the slowest {1000 * max(served):.0f} ms; of all {1000 * worst:.0f} ms"

    def everything():
        assert "is sound" in rot.check("--rebuild-index")
        assert rot.mail(demo.users[0]) == rot.truth[0] and rot.mail(demo.users[1]) == rot.truth[1]
        assert demo.stop() == 0
        assert "is sound" in rot.check()

    tap.run("a check through the running server", sound)
    tap.run("damage in an account's rows is named, and core lives on", damage)
    tap.run("its rows are made anew while others are served", mended)
    tap.run("all accounts' rows are made anew online", everything)


def main():
    tap = Tap()
    with Demo(sys.argv[1], users=3) as demo:
        rot = Rotting(sys.argv[1], demo)
        rot.fill()
        demo.stop()
        stopped(tap, rot)
        starts(tap, rot)
        running(tap, rot)
    tap.done()


main()
