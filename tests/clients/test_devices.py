"""Two IMAP devices and a POP3 client on one account, random commands for a while; at the end all views agree with the server and with a model.

    test_devices.py PENFOLD [SECONDS]
"""
import os
import poplib
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 60
FLAGS = [b"\\Seen", b"\\Flagged", b"\\Answered", b"\\Draft", b"$Work", b"Later"]
BOXES = [b"INBOX", b"Archive", b"Trash", b"Projects/Penfold"]


class Model:
    """What the account holds: per mailbox UID -> (message id, flags). Commands are sequential, so this is the truth."""

    def __init__(self):
        self.boxes = {box: {} for box in BOXES}
        self.next = {box: 1 for box in BOXES}

    def add(self, box, key, flags):
        uid = self.next[box]
        self.boxes[box][uid] = (key, frozenset(flags))
        self.next[box] += 1
        return uid


class Device:
    """One IMAP connection and what it believes, built from untagged answers only."""

    def __init__(self, demo, name, qresync):
        self.name, self.imap, self.box, self.view, self.qresync = name, Imap(demo.imap, demo.user, demo.password), None, [], qresync
        if qresync:
            self.imap.good(b"ENABLE QRESYNC")

    def learn(self, untagged):
        for line in untagged:
            exists = re.match(rb"\* (\d+) EXISTS", line)
            expunge = re.match(rb"\* (\d+) EXPUNGE", line)
            vanished = re.match(rb"\* VANISHED (\(EARLIER\) )?([\d:,]+)", line)
            fetch = re.match(rb"\* (\d+) FETCH \((.*)\)$", line, re.S)
            if exists:
                count = int(exists.group(1))
                assert count >= len(self.view), (self.name, "EXISTS shrinks", line, len(self.view))
                self.view += [[None, None] for _ in range(count - len(self.view))]
            elif expunge:
                del self.view[int(expunge.group(1)) - 1]
            elif vanished and not vanished.group(1):
                gone = set()
                for part in vanished.group(2).split(b","):
                    first, _, last = part.partition(b":")
                    gone |= set(range(int(first), int(last or first) + 1))
                assert all(e[0] for e in self.view), (self.name, "VANISHED for a view with unknown UIDs")
                self.view = [e for e in self.view if e[0] not in gone]
            elif fetch:
                entry = self.view[int(fetch.group(1)) - 1]
                uid = re.search(rb"UID (\d+)", fetch.group(2))
                flags = re.search(rb"FLAGS \(([^)]*)\)", fetch.group(2))
                if uid:
                    assert entry[0] in (None, int(uid.group(1))), (self.name, line, entry)
                    entry[0] = int(uid.group(1))
                if flags:
                    entry[1] = frozenset(flags.group(1).split()) - {b"\\Recent"}

    def do(self, text):
        status, answer, untagged = self.imap.command(text)
        self.learn(untagged)
        assert status == b"OK", (self.name, text, status, answer)
        return answer, untagged

    def select(self, box):
        self.view, self.box = [], box
        self.do(b"SELECT " + box)
        self.fill()

    def fill(self):
        if any(e[0] is None or e[1] is None for e in self.view):
            self.do(b"FETCH 1:* (UID FLAGS)")

    def settle(self):
        self.do(b"NOOP")
        self.fill()


def step_imap(rng, device, model, counts):
    act(rng, device, model, counts)
    # A device that hears of new messages asks for their UIDs at once: VANISHED would mean nothing to it without.
    device.fill()


def act(rng, device, model, counts):
    box = model.boxes[device.box]
    device.settle()
    uids = sorted(box)
    assert [e[0] for e in device.view] == uids, (device.name, device.box, device.view[:5], uids[:5])
    action = rng.choice(["append", "store", "store", "store", "copy", "move", "expunge", "select", "search"])
    counts[action] = counts.get(action, 0) + 1
    some = rng.sample(uids, min(len(uids), rng.randint(1, 5)))
    text = b",".join(b"%d" % uid for uid in some)
    if action == "append":
        flags = [f for f in FLAGS if rng.random() < 0.3]
        counts["number"] = counts.get("number", 0) + 1
        body = small(counts["number"], rng, 300)
        status, answer, untagged = device.imap.append(device.box, body, b" ".join(flags))
        device.learn(untagged)
        uid = model.add(device.box, body.split(b"Message-ID: ")[1].split(b"\r\n")[0], flags)
        assert status == b"OK" and re.search(rb"APPENDUID \d+ %d\]" % uid, answer), (answer, uid)
    elif action == "select":
        device.select(rng.choice(BOXES))
    elif not some:
        return
    elif action == "store":
        mode, flags = rng.choice([b"", b"+", b"-"]), frozenset(f for f in FLAGS if rng.random() < 0.4)
        device.do(b"UID STORE " + text + b" " + mode + b"FLAGS (" + b" ".join(flags) + b")")
        for uid in some:
            key, old = box[uid]
            box[uid] = (key, flags if mode == b"" else old | flags if mode == b"+" else old - flags)
    elif action in ("copy", "move"):
        target = rng.choice([b for b in BOXES if b != device.box])
        answer, untagged = device.do(b"UID " + action.upper().encode() + b" " + text + b" " + target)
        assert b"COPYUID" in answer + b"".join(untagged), (answer, untagged)
        for uid in sorted(some):
            model.add(target, *box[uid])
            if action == "move":
                del box[uid]
    elif action == "expunge":
        device.do(b"UID STORE " + text + b" +FLAGS.SILENT (\\Deleted)")
        device.do(b"UID EXPUNGE " + text)
        for uid in some:
            del box[uid]
    elif action == "search":
        flag = rng.choice([(b"SEEN", b"\\Seen"), (b"FLAGGED", b"\\Flagged"), (b"KEYWORD $Work", b"$Work")])
        untagged = device.do(b"UID SEARCH " + flag[0])[1]
        found = {int(n) for line in untagged if line.startswith(b"* SEARCH") for n in line.split()[2:]}
        assert found == {uid for uid in uids if flag[1] in box[uid][1]}, (flag, found)


def step_pop(rng, demo, model, counts):
    pop = poplib.POP3("127.0.0.1", demo.pop3)
    pop.user(demo.user)
    pop.pass_(demo.password)
    inbox = model.boxes[b"INBOX"]
    uids = sorted(inbox)
    assert pop.stat()[0] == len(uids), (pop.stat(), len(uids))
    kill = rng.sample(range(1, len(uids) + 1), min(len(uids), rng.randint(0, 3)))
    for number in kill:
        body = b"\r\n".join(pop.retr(number)[1])
        assert inbox[uids[number - 1]][0] in body, "another message than IMAP has there"
        pop.dele(number)
    if rng.random() < 0.3:
        pop.close()  # dies without QUIT: nothing is deleted
        counts["pop died"] = counts.get("pop died", 0) + 1
        wait_free(demo)
    else:
        pop.quit()
        for number in kill:
            del inbox[uids[number - 1]]
        counts["pop deleted"] = counts.get("pop deleted", 0) + len(kill)


def wait_free(demo):
    """The maildrop of a dead session becomes free as soon as the server has seen the end of its connection."""
    for _ in range(200):
        try:
            pop = poplib.POP3("127.0.0.1", demo.pop3)
            pop.user(demo.user)
            pop.pass_(demo.password)
            pop.quit()
            return
        except poplib.error_proto as error:
            assert b"IN-USE" in error.args[0], error
            time.sleep(0.01)
    raise AssertionError("the maildrop stays locked")


def play(demo, model, devices, counts):
    rng, end, steps = random.Random(4711), time.monotonic() + SECONDS, 0
    lmtp = Lmtp(demo.lmtp)
    while time.monotonic() < end:
        chance = rng.random()
        if chance < 0.04:
            counts["number"] = counts.get("number", 0) + 1
            body = small(counts["number"], rng, 500)
            assert lmtp.send([demo.user], body) == [250]
            model.add(b"INBOX", body.split(b"Message-ID: ")[1].split(b"\r\n")[0], [])
        elif chance < 0.06:
            step_pop(rng, demo, model, counts)
        else:
            step_imap(rng, rng.choice(devices), model, counts)
        steps += 1
    return f"{steps} steps: {counts}"


def agree(demo, model, devices):
    for device in devices:
        device.settle()
        want = [[uid, flags] for uid, (_, flags) in sorted(model.boxes[device.box].items())]
        assert device.view == want, (device.name, device.box, device.view[:8], want[:8])
    for device in devices:
        for box in BOXES:
            device.select(box)
            want = [[uid, flags] for uid, (_, flags) in sorted(model.boxes[box].items())]
            assert device.view == want, (device.name, box, device.view[:8], want[:8])
            untagged = device.do(b"STATUS " + box + b" (MESSAGES UNSEEN UIDNEXT)")[1]
            numbers = {k: int(v) for k, v in re.findall(rb"(MESSAGES|UNSEEN|UIDNEXT) (\d+)", b" ".join(untagged))}
            assert numbers == {b"MESSAGES": len(want), b"UNSEEN": sum(b"\\Seen" not in f for _, f in want),
                               b"UIDNEXT": model.next[box]}, (box, numbers)


def again(demo, model):
    demo.kill()
    demo.start()
    devices = [Device(demo, "phone", False), Device(demo, "laptop", True)]
    for device in devices:
        device.select(b"INBOX")
    agree(demo, model, devices)


tap = Tap()
with Demo(sys.argv[1]) as demo:
    model, counts = Model(), {}
    devices = [Device(demo, "phone", False), Device(demo, "laptop", True)]
    devices[0].do(b"CREATE Projects/Penfold")
    for device in devices:
        device.select(b"INBOX")
    tap.run(f"{SECONDS:.0f} s of random commands by two IMAP devices and a POP3 client, each answer as the model has it", play, demo, model, devices, counts)
    tap.run("at the end every view agrees with the model", agree, demo, model, devices)
    tap.run("and after kill -9 and a new start, too", again, demo, model)
tap.done()
