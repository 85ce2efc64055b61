"""Mixed load of real clients on a demo that is killed under them, and what must be true of each account afterwards.

A worker does one thing after another and says before each what the account may look like when it was done. Only when the server has acknowledged it
does that become the truth. When the connection breaks in between, both are allowed, the old and the new: whole, nothing in the middle.
"""
import copy
import imaplib
import os
import poplib
import re
import subprocess
import threading

from demo import insecure_tls
from messages import small
from wire import Imap, Lmtp

BROKEN = (OSError, EOFError, imaplib.IMAP4.abort, PermissionError)
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "$Work")
USUAL = {b"INBOX", b"Archive", b"Drafts", b"Junk", b"Sent", b"Trash"}
PATIENCE_S = 30


def key_of(body):
    return body.split(b"Message-ID: ")[1].split(b"\r\n")[0]


def as_sent(body):
    """Without what LMTP puts before a message and mbsync into it."""
    return re.sub(rb"X-TUID: [^\r]*\r\n", b"", body[body.index(b"From: Ann"):])


class Arrivals:
    """Messages that others bring into one mailbox: each that was acknowledged is there once; of the others each at most once, whole."""

    def __init__(self, box=b"INBOX"):
        self.box, self.lock, self.acknowledged, self.attempted, self.seen = box, threading.Lock(), set(), {}, {}

    def attempt(self, body):
        with self.lock:
            self.attempted[key_of(body)] = body

    def acknowledge(self, body):
        with self.lock:
            self.acknowledged.add(key_of(body))

    def read(self, imap, everything=False):
        """Keys of what is there; bodies are compared once, at the end all of them again."""
        imap.good(b"SELECT " + self.box)
        uids = [int(n) for line in imap.good(b"UID SEARCH ALL")[1] for n in line.split()[2:]]
        new = [b"%d" % uid for uid in uids if everything or uid not in self.seen]
        for line in imap.good(b"UID FETCH " + b",".join(new) + b" (UID BODY.PEEK[])")[1] if new else []:
            match = re.match(rb"\* \d+ FETCH \(UID (\d+) BODY\[\] \{\d+\}\r\n(.*)\)$", line, re.S)
            if match:
                body = as_sent(match.group(2))
                assert self.attempted.get(key_of(body)) == body, (self.box, "another message than was sent", match.group(2)[:2000])
                assert self.seen.setdefault(int(match.group(1)), key_of(body)) == key_of(body), (self.box, "a UID for another message", line[:2000])
        there = [self.seen[uid] for uid in uids]
        assert len(set(there)) == len(there), (self.box, "twice", [k for k in there if there.count(k) > 1])
        with self.lock:
            self.acknowledged |= set(there)  # nobody is shown what could be taken back
        return set(there)

    def check(self, there, gone):
        lost = self.acknowledged - there - gone
        assert not lost, (self.box, "acknowledged and lost", sorted(lost)[:5])
        assert not there & gone, (self.box, "back again", sorted(there & gone)[:5])


class State:
    """What one worker knows of its account: its own mailboxes (name -> UID -> (key, flags)), and which arrivals it has taken away."""

    def __init__(self):
        self.boxes, self.next, self.gone = {}, {}, set()

    def put(self, box, key, flags):
        self.boxes[box][self.next[box]] = (key, frozenset(flags))
        self.next[box] += 1


class Account:
    """One user, the messages that arrive for it, and the one worker that changes it."""

    def __init__(self, demo, number, rng):
        self.demo, self.user, self.rng = demo, demo.users[number], rng
        self.arrivals = [Arrivals()]
        self.state, self.maybe, self.bodies = State(), None, {}
        self.broken = self.done = self.number = 0

    def change(self, how, command):
        """Runs a command; how(state) is what it does."""
        self.maybe = copy.deepcopy(self.state)
        how(self.maybe)
        command()
        self.state, self.maybe = self.maybe, None
        self.done += 1

    def work(self, over):
        """Until the round is over; a broken connection is made anew."""
        while not over.is_set():
            try:
                self.session(over)
            except BROKEN:
                self.broken += 1
                if self.maybe:  # what became of it is for the check to find out
                    return
                over.wait(0.02)

    def prepare(self):
        pass

    def session(self, over):
        raise NotImplementedError

    def check(self, everything=False):
        imap = Imap(self.demo.imap, self.user, self.demo.password)
        there = [arrivals.read(imap, everything) for arrivals in self.arrivals]
        found = self.read_boxes(imap)
        imap.close()
        if self.maybe and self.matches(self.maybe, found, there[0]):
            self.state = self.maybe
        else:
            assert self.matches(self.state, found, there[0]), (
                self.user, "neither before nor after", found, self.state.boxes, self.maybe and self.maybe.boxes, self.state.gone & there[0])
        self.maybe = None
        for arrivals, keys in zip(self.arrivals, there):
            arrivals.check(keys, self.state.gone)

    def matches(self, state, found, inbox):
        return (state.boxes, state.next) == found and not state.gone & inbox

    def read_boxes(self, imap):
        others = USUAL | {a.box for a in self.arrivals}
        boxes, following = {}, {}
        for line in imap.good(b'LIST "" *')[1]:
            name = re.search(rb'"/" "?([^"]*?)"?$', line).group(1)
            if name in others:
                continue
            boxes[name], following[name] = {}, None
            lines = imap.good(b"EXAMINE " + name)[1]
            following[name] = int(re.search(rb"UIDNEXT (\d+)", b" ".join(lines)).group(1))
            for found in imap.good(b"UID FETCH 1:* (UID FLAGS BODY.PEEK[])")[1]:
                match = re.match(rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{\d+\}\r\n(.*)\)$", found, re.S)
                if match:
                    body = as_sent(match.group(3))
                    key = key_of(body)
                    assert body in (self.bodies.get(key), self.arrivals[0].attempted.get(key)), ("changed", name, match.group(3)[:2000])
                    flags = frozenset(match.group(2).decode().split()) - {"\\Recent"}
                    boxes[name][int(match.group(1))] = (key, flags)
        return boxes, following


class ImapAccount(Account):
    """imaplib: everything that a client does to mailboxes and messages."""

    def __init__(self, demo, number, rng, tls):
        super().__init__(demo, number, rng)
        self.tls, self.names = tls, [b"Stay", b"Work", b"Work/a"]

    def prepare(self):
        imap = Imap(self.demo.imap, self.user, self.demo.password)
        for name in self.names:
            imap.good(b"CREATE " + name)
            self.state.boxes[name], self.state.next[name] = {}, 1
        imap.close()

    def session(self, over):
        if self.tls:
            imap = imaplib.IMAP4_SSL("127.0.0.1", self.demo.imaps, ssl_context=insecure_tls(), timeout=PATIENCE_S)
        else:
            imap = imaplib.IMAP4("127.0.0.1", self.demo.imap, timeout=PATIENCE_S)
        try:
            imap.login(self.user, self.demo.password)
            for _ in range(40):
                if over.is_set():
                    return
                self.step(imap)
        except imaplib.IMAP4.error as error:
            # A core that goes down may refuse a login; anything else a server that works must not refuse.
            if not isinstance(error, imaplib.IMAP4.abort) and b"UNAVAILABLE" not in error.args[0]:
                raise
            raise imaplib.IMAP4.abort(error) from error
        finally:
            imap.shutdown()

    def step(self, imap):
        box = self.rng.choice(sorted(self.state.boxes))
        uids = sorted(self.state.boxes[box])
        some = self.rng.sample(uids, min(len(uids), self.rng.randint(1, 4)))
        action = self.rng.choice(("append", "store", "copy", "move", "take", "rename", "expunge") if len(uids) < 15 else ("expunge", "move"))
        if action == "append":
            return self.append(imap, box)
        if action == "rename":
            return self.rename(imap)
        if action == "take":
            return self.take(imap, box)
        if not some:
            return None
        self.good(imap.select(box.decode()))
        return getattr(self, action)(imap, box, some, ",".join(map(str, some)))

    @staticmethod
    def good(answer):
        assert answer[0] == "OK", answer
        return answer

    def append(self, imap, box):
        self.number += 1
        body = small(f"{self.user}-{self.number}", self.rng, self.rng.choice((200, 3000, 40000)))
        self.bodies[key_of(body)] = body
        flags = [flag for flag in FLAGS if self.rng.random() < 0.3]
        self.change(lambda s: s.put(box, key_of(body), flags), lambda: self.good(imap.append(box.decode(), f"({' '.join(flags)})", None, body)))

    def store(self, imap, box, some, text):
        flags = frozenset(flag for flag in FLAGS if self.rng.random() < 0.5)

        def how(state):
            for uid in some:
                state.boxes[box][uid] = (state.boxes[box][uid][0], flags)
        self.change(how, lambda: self.good(imap.uid("STORE", text, "FLAGS", f"({' '.join(sorted(flags))})")))

    def copy(self, imap, box, some, text, verb="COPY"):
        target = self.rng.choice([name for name in sorted(self.state.boxes) if name != box])

        def how(state):
            for uid in sorted(some):
                state.put(target, *state.boxes[box][uid])
                if verb == "MOVE":
                    del state.boxes[box][uid]
        self.change(how, lambda: self.good(imap.uid(verb, text, target.decode())))

    def move(self, imap, box, some, text):
        self.copy(imap, box, some, text, "MOVE")

    def expunge(self, imap, box, some, text):
        def marked(state):
            for uid in some:
                state.boxes[box][uid] = (state.boxes[box][uid][0], state.boxes[box][uid][1] | {"\\Deleted"})

        def gone(state):
            state.boxes[box] = {uid: entry for uid, entry in state.boxes[box].items() if "\\Deleted" not in entry[1]}
        self.change(marked, lambda: self.good(imap.uid("STORE", text, "+FLAGS.SILENT", "(\\Deleted)")))
        self.change(gone, lambda: self.good(imap.expunge()))

    def rename(self, imap):
        old, new = (b"Work", b"Play") if b"Work" in self.state.boxes else (b"Play", b"Work")

        def how(state):
            for table in (state.boxes, state.next):
                for name in [n for n in table if n == old or n.startswith(old + b"/")]:
                    table[new + name[len(old):]] = table.pop(name)
        self.change(how, lambda: self.good(imap.rename(old.decode(), new.decode())))

    def take(self, imap, box):
        """Moves what has arrived out of INBOX while more arrives."""
        self.good(imap.select("INBOX"))
        uids = self.good(imap.uid("SEARCH", "ALL"))[1][0].split()
        if not uids:
            return
        uid = self.rng.choice(uids).decode()
        fetched = self.good(imap.uid("FETCH", uid, "(FLAGS BODY.PEEK[HEADER])"))[1]
        key = key_of(next(part[1] for part in fetched if isinstance(part, tuple)))
        self.arrivals[0].acknowledge(self.arrivals[0].attempted[key])

        def how(state):
            state.gone.add(key)
            state.put(box, key, ())
        self.change(how, lambda: self.good(imap.uid("MOVE", uid, box.decode())))


class PopAccount(Account):
    """poplib: what was marked is gone when QUIT was answered, all of it; and nothing before."""

    def session(self, over):
        pop = None
        try:
            if self.rng.random() < 0.5:
                pop = poplib.POP3("127.0.0.1", self.demo.pop3, timeout=PATIENCE_S)
            else:
                pop = poplib.POP3_SSL("127.0.0.1", self.demo.pop3s, timeout=PATIENCE_S, context=insecure_tls())
            self.drain(pop)
        except poplib.error_proto as error:
            text = str(error.args[0])
            if "EOF" not in text and "IN-USE" not in text and "SYS/TEMP" not in text:
                raise
            raise ConnectionError(text) from error
        finally:
            if pop:
                pop.close()
        over.wait(0.01)

    def drain(self, pop):
        pop.user(self.user)
        pop.pass_(self.demo.password)
        count, keys = pop.stat()[0], set()
        for number in self.rng.sample(range(1, count + 1), min(count, self.rng.randint(1, 4))):
            body = as_sent(b"\r\n".join(pop.retr(number)[1]) + b"\r\n")
            assert self.arrivals[0].attempted[key_of(body)] == body, ("RETR gives another message", body[:2000])
            self.arrivals[0].acknowledge(body)
            keys.add(key_of(body))
            pop.dele(number)
        self.change(lambda state: state.gone.update(keys), pop.quit)


class ProgramsAccount(Account):
    """curl puts messages into a mailbox; mbsync carries those of a Maildir to INBOX and those of INBOX into the Maildir."""

    def __init__(self, demo, number, rng, home):
        super().__init__(demo, number, rng)
        self.home, self.local, self.port = home, os.path.join(home, "INBOX"), None
        self.arrivals.append(Arrivals(b"Curl"))

    def prepare(self):
        imap = Imap(self.demo.imap, self.user, self.demo.password)
        imap.good(b"CREATE Curl")
        imap.close()
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.local, sub))
        with open(os.path.join(self.home, "rc"), "w") as file:
            file.write(f"IMAPAccount demo\nHost 127.0.0.1\nPort {self.demo.imap}\nUser {self.user}\nPass {self.demo.password}\nSSLType None\n"
                       f"AuthMechs LOGIN\n\nIMAPStore far\nAccount demo\n\nMaildirStore near\nInbox {self.local}\n\n"
                       f"Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nSync All\nCreate None\nExpunge None\nSyncState {self.home}/state-\n")

    def run(self, *command):
        env = {"HOME": self.home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(command, env=env, cwd=self.home, capture_output=True, timeout=PATIENCE_S * 2)

    def session(self, over):
        self.number += 1
        body = small(f"curl-{self.number}", self.rng, 2000)
        path = os.path.join(self.home, "upload")
        with open(path, "wb") as file:
            file.write(body)
        self.arrivals[1].attempt(body)
        url = f"imap://127.0.0.1:{self.demo.imap}/Curl"
        if self.run("curl", "-sS", "--user", f"{self.user}:{self.demo.password}", "-T", path, url).returncode:
            raise ConnectionError("curl")
        self.arrivals[1].acknowledge(body)
        self.done += 1
        if not over.is_set():
            self.synchronise()

    def synchronise(self):
        body = small(f"local-{self.number}", self.rng, 1000)
        self.arrivals[0].attempt(body)
        with open(os.path.join(self.local, "cur", f"{self.number}.local:2,S"), "wb") as file:
            file.write(body.replace(b"\r\n", b"\n"))
        self.waiting = getattr(self, "waiting", []) + [body]
        done = self.run("mbsync", "-c", os.path.join(self.home, "rc"), "-a", "-q")
        if done.returncode:
            raise ConnectionError(done.stderr)
        for waiting in self.waiting:
            self.arrivals[0].acknowledge(waiting)
        self.waiting = []
        self.done += 1

    def local_keys(self):
        found = []
        for sub in ("cur", "new"):
            for name in os.listdir(os.path.join(self.local, sub)):
                with open(os.path.join(self.local, sub, name), "rb") as file:
                    found.append(key_of(file.read().replace(b"\n", b"\r\n")))
        return found


class Deliverer:
    """LMTP: to one or two accounts at once, each acknowledged by itself."""

    def __init__(self, demo, accounts, rng, seed):
        self.demo, self.accounts, self.rng, self.seed, self.number, self.done, self.broken = demo, accounts, rng, seed, 0, 0, 0

    def work(self, over):
        while not over.is_set():
            try:
                lmtp = Lmtp(self.demo.lmtp)
                while not over.is_set():
                    self.deliver(lmtp)
                    over.wait(0.005)
                lmtp.close()
            except BROKEN:
                self.broken += 1
                over.wait(0.02)

    def deliver(self, lmtp):
        self.number += 1
        body = small(f"lmtp-{self.seed}-{self.number}", self.rng, self.rng.choice((200, 2000, 30000, 300000 if self.number % 40 == 0 else 500)))
        to = self.rng.sample(self.accounts, self.rng.choice((1, 1, 2)))
        for account in to:
            account.arrivals[0].attempt(body)
        codes = lmtp.send([account.user for account in to], body)
        if 421 in codes:  # a core that sees its supervisor gone may still say so
            raise ConnectionError("421")
        assert set(codes) == {250}, codes
        for account in to:
            account.arrivals[0].acknowledge(body)
        self.done += 1
