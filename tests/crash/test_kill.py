"""kill -9 of the running core under delivery and STORE load, again and again: every acknowledged message is there once, byte for byte, and every
acknowledged flag stands.

    test_kill.py PENFOLD [ROUNDS]
"""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

USERS, DELIVERERS, STORERS = 3, 4, 2
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 10


class Load:
    def __init__(self, demo):
        self.demo, self.lock, self.over = demo, threading.Lock(), False
        self.acknowledged, self.attempted = {}, {}  # Message-ID -> (user, body)
        self.flags = {}  # (user, message id) -> [acknowledged set, attempted sets since then]
        self.crashes_seen = 0

    def deliverer(self, seed):
        rng, number, lmtp = random.Random(seed), 0, None
        while not self.over:
            try:
                lmtp = lmtp or Lmtp(self.demo.lmtp)
                number += 1
                body = small(f"{seed}-{number}", rng, rng.choice([200, 2000, 30000, 300000 if number % 40 == 0 else 500]))
                user = rng.choice(self.demo.users)
                key = body.split(b"Message-ID: ")[1].split(b"\r\n")[0]
                with self.lock:
                    self.attempted[key] = (user, body)
                if lmtp.send([user], body) == [250]:
                    with self.lock:
                        self.acknowledged[key] = (user, body)
            except OSError:
                self.crashes_seen += 1
                lmtp = None
                time.sleep(0.02)

    def storer(self, seed):
        rng, imap, ids = random.Random(seed), None, {}
        user = self.demo.users[seed % USERS]
        while not self.over:
            try:
                if imap is None:
                    imap, ids = Imap(self.demo.imap, user, self.demo.password), {}
                    imap.good(b"SELECT INBOX")
                if rng.random() < 0.1 or not ids:
                    for line in imap.good(b"UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]:
                        if b"Message-ID: " in line:
                            ids[line.split(b"Message-ID: ")[1].split(b"\r\n")[0]] = line.split(b"UID ")[1].split(b" ")[0]
                    time.sleep(0.05)
                    continue
                key = rng.choice(list(ids))
                wanted = frozenset(f for f in (b"\\Seen", b"\\Flagged", b"\\Answered", b"$Work") if rng.random() < 0.5)
                with self.lock:
                    state = self.flags.setdefault((user, key), [None, []])
                    state[1].append(wanted)
                imap.good(b"UID STORE " + ids[key] + b" FLAGS (" + b" ".join(sorted(wanted)) + b")")
                with self.lock:
                    self.flags[(user, key)] = [wanted, []]
            except (OSError, RuntimeError):
                imap = None
                time.sleep(0.02)


def crash_rounds(demo, load):
    for _ in range(ROUNDS):
        time.sleep(random.uniform(0.3, 1.0))
        core = demo.wait_for(demo.core)
        os.kill(core, signal.SIGKILL)
        demo.wait_for(lambda: demo.core() not in (None, core))
        demo.wait_for(lambda: can_login(demo))
    time.sleep(0.5)
    load.over = True


def can_login(demo):
    try:
        Imap(demo.imap, demo.user, demo.password).close()
        return True
    except (OSError, PermissionError):
        return False


def strip_trace(body):
    return body[body.index(b"From: Ann"):]


def verify(tap, demo, load):
    lost, twice, changed, flags_wrong, unknown, found = [], [], [], [], [], {}
    for user in demo.users:
        imap = Imap(demo.imap, user, demo.password)
        imap.good(b"SELECT INBOX")
        for line in imap.good(b"UID FETCH 1:* (UID FLAGS BODY.PEEK[])")[1]:
            if b"FETCH (" not in line[:40]:
                continue
            body = strip_trace(line.split(b"}\r\n", 1)[1][:-1])
            key = body.split(b"Message-ID: ")[1].split(b"\r\n")[0]
            flags = frozenset(line.split(b"FLAGS (")[1].split(b")")[0].split()) - {b"\\Recent"}
            if key in found:
                twice.append(key)
            found[key] = user
            if key not in load.attempted:
                unknown.append(key)
            elif (user, body) != load.attempted[key]:
                changed.append(key)
            acked, tried = load.flags.get((user, key), [frozenset(), []])
            if flags != (acked or frozenset()) and flags not in tried:
                flags_wrong.append((key, flags, acked, tried))
        imap.close()
    lost = [key for key in load.acknowledged if key not in found]
    tap.ok(len(load.acknowledged) > 20 * ROUNDS, f"enough was acknowledged: {len(load.acknowledged)} messages, {len(load.flags)} flagged")
    tap.ok(load.crashes_seen >= ROUNDS, f"the load met the crashes ({load.crashes_seen} broken connections)")
    tap.ok(not lost, "every acknowledged message is there", lost[:10])
    tap.ok(not twice, "none is there twice", twice[:10])
    tap.ok(not changed and not unknown, "each is what was sent, byte for byte", (changed + unknown)[:10])
    tap.ok(not flags_wrong, "every acknowledged flag stands", flags_wrong[:5])


tap = Tap()
with Demo(sys.argv[1], users=USERS) as demo:
    load = Load(demo)
    threads = [threading.Thread(target=load.deliverer, args=(i,)) for i in range(DELIVERERS)]
    threads += [threading.Thread(target=load.storer, args=(i,)) for i in range(STORERS)]
    for thread in threads:
        thread.start()
    try:
        tap.run(f"{ROUNDS} times kill -9 of core, and it comes back", crash_rounds, demo, load)
    finally:
        load.over = True
        for thread in threads:
            thread.join()
    verify(tap, demo, load)
    tap.run("kill -9 of everything, and a start on the same folder", lambda: (demo.kill(), demo.start()))
    verify(tap, demo, load)
tap.done()
