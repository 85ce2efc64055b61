"""The same random stream of commands to Penfold and to a plain model of IMAP: the same untagged facts come back.

    test_differential.py PENFOLD [SECONDS [SEED]]     or PENFOLD_DIFFERENTIAL_SECONDS=..., PENFOLD_SEED=...

Five sessions of one account - plain, CONDSTORE, QRESYNC, IMAP4rev2, and one that idles - mostly in the same two mailboxes. Each believes only what it is
told; after every command that may tell everything its view is what the model holds. A failure prints the seed, and the commands before it.
"""
import collections
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from imap_model import DAYS, FLAGS, Account, Message, matches, numbers, random_key, text
from tap import Tap
from wire import Imap

SECONDS = float(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("PENFOLD_DIFFERENTIAL_SECONDS", 20))
SEED = int(sys.argv[3] if len(sys.argv) > 3 else os.environ.get("PENFOLD_SEED", random.randrange(1 << 32)))
USUAL = ("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash")
NAMES = ("One", "One/Two", "One/Two/Three", "Four", "Five/Six")
MESSAGES_MAX = 60


class Session:
    """A client: what it knows is in `view`, a list of [uid, flags], both None until told."""

    def __init__(self, world, name, enable):
        self.world, self.name, self.imap = world, name, Imap(world.demo.imap, world.demo.user, world.demo.password)
        self.enabled, self.box, self.view, self.read_only, self.idling, self.closed = enable, None, [], False, None, False
        self.rev2, self.qresync = "IMAP4rev2" in enable, "QRESYNC" in enable
        self.condstore = self.qresync or "CONDSTORE" in enable
        if enable:
            self.imap.good(b"ENABLE " + enable.encode())

    # ---- Talking ----

    def command(self, line, tells_all, expunges=True, want="OK"):
        """Sends, learns from what comes back, and checks that against the model as it was made beforehand."""
        self.world.trail.append(f"{self.name}: {line}")
        status, answer, untagged = self.imap.command(line if isinstance(line, bytes) else line.encode())
        assert status.decode() == want, (line, status, answer)
        self.learn(untagged, expunges)
        if tells_all and self.box:
            self.is_up_to_date()
        return answer.decode(), untagged

    def learn(self, untagged, expunges=True):
        for line in untagged:
            words = line.decode("latin-1")
            number = re.match(r"\* (\d+) (EXISTS|EXPUNGE|FETCH)", words)
            vanished = re.match(r"\* VANISHED (\(EARLIER\) )?([\d:,]+)", words)
            if words.startswith("* OK [CLOSED]"):
                assert self.closed, "closed for no reason"
                self.box, self.view, self.closed = None, [], False
            elif vanished and not vanished.group(1):
                assert self.qresync and expunges, words
                self.forget(numbers(vanished.group(2)))
            elif number and number.group(2) == "EXISTS":
                assert int(number.group(1)) >= len(self.view), ("EXISTS shrinks", words, len(self.view))
                self.view += [[None, None] for _ in range(int(number.group(1)) - len(self.view))]
            elif number and number.group(2) == "EXPUNGE":
                assert not self.qresync and expunges, words
                uid = self.view.pop(int(number.group(1)) - 1)[0]
                assert uid not in self.box.messages, (words, uid)
            elif number:
                self.learn_fetch(int(number.group(1)), words)

    def forget(self, uids):
        """A message that came with the same answer has a number, but its UID was not told yet: it is one of the last."""
        for uid in uids:
            assert uid not in self.box.messages, ("VANISHED what is there", uid)
            at = next((i for i, entry in enumerate(self.view) if entry[0] in (None, uid)), None)
            assert at is not None, ("VANISHED what was not there", uid)
            assert self.view[at][0] or all(entry[0] < uid for entry in self.view[:at]), ("VANISHED what was not there", uid)
            del self.view[at]

    def learn_fetch(self, number, words):
        assert number <= len(self.view), (words, len(self.view))
        entry = self.view[number - 1]
        uid = re.search(r"\bUID (\d+)", words)
        flags = re.search(r"\bFLAGS \(([^)]*)\)", words)
        modseq = re.search(r"\bMODSEQ \((\d+)\)", words)
        if uid:
            assert entry[0] in (None, int(uid.group(1))), (words, entry)
            entry[0] = int(uid.group(1))
        message = self.box.messages.get(entry[0])
        if flags:
            entry[1] = frozenset(flags.group(1).split()) - {"\\Recent"}
            # What was pushed to a client that idles has been true, but may be so no more.
            assert message is None or entry[1] in (message.history if self.idling else [message.flags]), (words, message and message.flags)
        if modseq and message and not self.idling:
            self.world.account.told_modseq(message, int(modseq.group(1)))

    def is_up_to_date(self):
        uids = list(self.box.messages)
        assert len(self.view) == len(uids), ("EXISTS", len(self.view), len(uids))
        for entry, uid in zip(self.view, uids):
            assert entry[0] in (None, uid), ("order", entry, uid)
            assert entry[1] in (None, self.box.messages[uid].flags), ("flags not told", uid, entry[1], self.box.messages[uid].flags)

    def fill(self):
        """A client of QRESYNC must know all UIDs: VANISHED would tell it nothing otherwise."""
        if self.box and not self.idling and (self.qresync or self.world.rng.random() < 0.7) and any(entry[0] is None for entry in self.view):
            self.fetch_all()

    def fetch_all(self):
        want = {entry[0] for entry in self.view} & set(self.box.messages)
        items = "(UID FLAGS MODSEQ)" if self.condstore else "(UID FLAGS)"
        _, untagged = self.command(f"UID FETCH 1:* {items}", True)
        told = {int(n) for n in re.findall(r"\bUID (\d+)", " ".join(map(str, untagged)))}
        assert told >= want, ("not answered", want - told)

    # ---- Which messages ----

    def some(self):
        """Known UIDs of the view, and the numbers of those in it."""
        known = [(i + 1, entry[0]) for i, entry in enumerate(self.view) if entry[0]]
        return sorted(self.world.rng.sample(known, min(len(known), self.world.rng.randint(1, 5))))

    def chosen(self):
        """(prefix, set, UIDs that are there, whether by UID) of some messages, by UID or by number."""
        some, by_uid = self.some(), self.world.rng.random() < 0.6
        if not some:
            return None
        set_text = ",".join(str(uid if by_uid else number) for number, uid in some)
        return "UID " if by_uid else "", set_text, [uid for _, uid in some if uid in self.box.messages], by_uid


class World:
    def __init__(self, demo, rng):
        self.demo, self.rng, self.account, self.number = demo, rng, Account(USUAL), 0
        self.trail, self.counts = collections.deque(maxlen=60), collections.Counter()
        for box in self.account.boxes.values():
            box.subscribed = True
        self.sessions = [Session(self, "plain", ""), Session(self, "condstore", "CONDSTORE"), Session(self, "qresync", "QRESYNC"),
                         Session(self, "rev2", "IMAP4rev2"), Session(self, "idler", "")]
        self.snapshots = {}  # of QRESYNC: (name of the session, mailbox) -> (UIDVALIDITY, HIGHESTMODSEQ, what it knew)
        for session in self.sessions:
            select(self, session, "INBOX")

    def name_of(self, box):
        return next(name for name, b in self.account.boxes.items() if b is box)


# ---- What sessions do ----

def select(world, s, name=None):
    name = name or world.rng.choice(("INBOX", "INBOX", "Archive", "Archive", *world.account.boxes))
    leave(world, s)
    s.box, s.view, s.read_only = world.account.boxes[name], [], world.rng.random() < 0.15
    snapshot = world.snapshots.get((s.name, name))
    arguments = ""
    if s.qresync and snapshot and snapshot[0] == s.box.validity:
        s.view = [[uid, flags] for uid, flags in snapshot[2].items()]
        arguments = f" (QRESYNC ({snapshot[0]} {snapshot[1]}))"
    verb = "EXAMINE" if s.read_only else "SELECT"
    line = f'{verb} "{name}"{arguments}'
    world.trail.append(f"{s.name}: {line}")
    status, answer, untagged = s.imap.command(line.encode())
    assert status == b"OK" and answer.startswith(b"[READ-ONLY]" if s.read_only else b"[READ-WRITE]"), (status, answer)
    facts = b" ".join(untagged).decode("latin-1")
    count, following = int(re.search(r"(\d+) EXISTS", facts).group(1)), int(re.search(r"UIDNEXT (\d+)", facts).group(1))
    assert (count, following) == (len(s.box.messages), s.box.next), (facts, len(s.box.messages), s.box.next)
    validity(s.box, int(re.search(r"UIDVALIDITY (\d+)", facts).group(1)))
    highest = int(re.search(r"HIGHESTMODSEQ (\d+)", facts).group(1))
    if arguments:
        resynchronise(s, untagged)
    else:
        s.view = []
        s.learn([line for line in untagged if b"[CLOSED]" not in line])
    world.account.highest = max(world.account.highest, highest)
    s.fill()


def resynchronise(s, untagged):
    """VANISHED (EARLIER) and FETCH make of the old view what there is now (RFC 7162 §3.2.5)."""
    old = {uid for uid, _ in s.view}
    for line in untagged:
        vanished = re.match(r"\* VANISHED \(EARLIER\) ([\d:,]+)", line.decode("latin-1"))
        if vanished:
            gone = set(numbers(vanished.group(1)))
            assert not gone & set(s.box.messages), ("VANISHED what is there", gone)
            s.view = [entry for entry in s.view if entry[0] not in gone]
    assert {uid for uid, _ in s.view} == old & set(s.box.messages), "VANISHED (EARLIER) left some out"
    s.view += [[None, None] for _ in range(len(s.box.messages) - len(s.view))]
    s.learn([line for line in untagged if b" FETCH " in line])
    s.is_up_to_date()
    assert all(uid for uid, _ in s.view), "a new message was not told of"


def validity(box, told):
    assert box.validity in (None, told), ("UIDVALIDITY", box.validity, told)
    box.validity = told


def leave(world, s):
    """Remembers, for QRESYNC, what was known: after NOOP that is everything up to HIGHESTMODSEQ."""
    if not s.box or not s.qresync:
        return
    noop(world, s)
    if s.box is None:
        return
    s.fill()
    name = world.name_of(s.box)
    facts = status_of(world, s, name)
    world.snapshots[s.name, name] = (s.box.validity, facts["HIGHESTMODSEQ"], {uid: flags for uid, flags in s.view})


def noop(world, s):
    s.command("NOOP", True)


def check(world, s):
    s.command("CHECK", True)


def unselect(world, s):
    leave(world, s)
    if not s.box:
        return
    s.command("UNSELECT", False)
    s.box, s.view = None, []


def close(world, s):
    """Expunges without telling."""
    leave(world, s)
    if not s.box:
        return
    if not s.read_only:
        for uid in [uid for uid, m in s.box.messages.items() if "\\Deleted" in m.flags]:
            del s.box.messages[uid]
    box, s.box, s.view = s.box, None, []
    s.command("CLOSE", False)
    assert box is not None


def idle(world, s):
    """Until it is this session's turn again."""
    world.trail.append(f"{s.name}: IDLE")
    s.idling = s.imap.send(b"IDLE")
    while not (line := s.imap.line()).startswith(b"+"):
        s.learn([line])


def done(world, s):
    world.trail.append(f"{s.name}: DONE")
    s.imap.sock.sendall(b"DONE\r\n")
    status, _, untagged = s.imap.wait(s.idling)
    assert status == b"OK"
    s.learn(untagged)
    s.idling = None
    if s.box:
        s.is_up_to_date()


def append(world, s):
    name = world.rng.choice(("INBOX", "Archive", *world.account.boxes)) if not s.box or world.rng.random() < 0.3 else world.name_of(s.box)
    box, line, uids = world.account.boxes[name], f'APPEND "{name}"'.encode(), []
    if len(box.messages) > MESSAGES_MAX:
        return
    for _ in range(world.rng.choice((1, 1, 1, 2))):
        world.number += 1
        message = Message(world.number, world.rng)
        flags = [flag for flag in FLAGS if world.rng.random() < 0.25 and flag != "\\Deleted"]
        uids.append(world.account.add(box, message, flags))
        line += f" ({' '.join(flags)}) \"{DAYS[message.day]:>11} 12:00:00 +0000\" {{{len(message.bytes)}+}}\r\n".encode() + message.bytes
    answer, _ = s.command(line, True)
    code = re.search(r"\[APPENDUID (\d+) ([\d:,]+)\]", answer)
    validity(box, int(code.group(1)))
    assert numbers(code.group(2)) == uids, (answer, uids)


def store(world, s):
    chosen = s.chosen()
    if not chosen:
        return
    prefix, set_text, uids, by_uid = chosen
    mode, flags = world.rng.choice(("", "+", "-")), frozenset(f for f in FLAGS if world.rng.random() < 0.35)
    silent, condition, modified = world.rng.choice(("", ".SILENT")), "", set()
    if s.read_only:
        s.command(f"{prefix}STORE {set_text} {mode}FLAGS ({' '.join(flags)})", by_uid, by_uid, want="NO")
        return
    if s.condstore and by_uid and uids and world.rng.random() < 0.5:
        s.fetch_all()
        since = world.rng.choice([s.box.messages[uid].modseq for uid in uids])
        condition = f"(UNCHANGEDSINCE {since}) "
        modified = {uid for uid in uids if s.box.messages[uid].modseq > since}
    changed = [uid for uid in uids if uid not in modified]
    world.account.store(s.box, changed, mode, flags)
    if silent:
        for entry in s.view:  # the client knows what it has done
            if entry[0] in changed and entry[1] is not None:
                entry[1] = s.box.messages[entry[0]].flags
    answer, _ = s.command(f"{prefix}STORE {set_text} {condition}{mode}FLAGS{silent} ({' '.join(sorted(flags))})", by_uid, by_uid)
    told = re.search(r"\[MODIFIED ([\d:,]+)\]", answer)
    assert modified == set(numbers(told.group(1)) if told else ()), (answer, modified)


def fetch(world, s):
    chosen = s.chosen()
    if not chosen:
        return
    prefix, set_text, uids, by_uid = chosen
    what = world.rng.choice(("FLAGS", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY[]", "BODY.PEEK[TEXT]"))
    if what == "BODY[]" and not s.read_only:
        world.account.store(s.box, uids, "+", frozenset(("\\Seen",)))
    _, untagged = s.command(f"{prefix}FETCH {set_text} (UID {what})", by_uid, by_uid)
    expected = {
        "FLAGS": lambda m: b"FLAGS (", "RFC822.SIZE": lambda m: b"RFC822.SIZE %d" % len(m.bytes),
        "INTERNALDATE": lambda m: f'INTERNALDATE "{DAYS[m.day]:>11} 12:00:00 +0000"'.replace('" ', '"').encode(),
        "BODY.PEEK[HEADER.FIELDS (SUBJECT)]": lambda m: f"Subject: {' '.join(m.subject)} ".encode(),
        "BODY[]": lambda m: b"BODY[] {%d}\r\n" % len(m.bytes) + m.bytes,
        "BODY.PEEK[TEXT]": lambda m: b"BODY[TEXT] {%d}\r\n" % len(m.bytes.split(b"\r\n\r\n")[1]) + m.bytes.split(b"\r\n\r\n")[1],
    }[what]
    for uid in uids:
        lines = [line for line in untagged if re.search(rb"FETCH \(UID %d\b" % uid, line)]
        want = expected(s.box.messages[uid])
        assert any(want in line.replace(b'INTERNALDATE " ', b'INTERNALDATE "') for line in lines), (uid, want, lines)


def search(world, s):
    if not s.box or any(entry[0] is None for entry in s.view):
        return
    key, by_uid = random_key(world.rng, s.box, s.view), world.rng.random() < 0.6
    gone = {entry[0] for entry in s.view} - set(s.box.messages)
    returns = world.rng.choice((None, None, "()", "(MIN MAX COUNT)", "(ALL COUNT)")) if not gone else None
    found = {(i + 1, entry[0]) for i, entry in enumerate(s.view)
             if entry[0] in s.box.messages and matches(key, i + 1, entry[0], s.box.messages[entry[0]])}
    want = {uid if by_uid else number for number, uid in found}
    unsure = {uid if by_uid else i + 1 for i, (uid, _) in enumerate(s.view) if uid in gone}
    # News of messages that have come since are no part of the view that is searched, or they are: a client cannot tell which.
    unseen = set(s.box.messages) - {entry[0] for entry in s.view}
    if unseen:
        return
    line = f"{'UID ' if by_uid else ''}SEARCH {'RETURN ' + returns + ' ' if returns else ''}{text(key)}"
    _, untagged = s.command(line, by_uid, by_uid)
    facts = next(u.decode() for u in untagged if u.startswith((b"* SEARCH", b"* ESEARCH")))
    if returns or s.rev2:
        check_esearch(facts, returns, want, by_uid, unsure)
    else:
        told = {int(n) for n in re.sub(r"\(MODSEQ \d+\)", "", facts).split()[2:]}
        assert told - unsure == want, (line, told, want)


def check_esearch(facts, returns, want, by_uid, unsure):
    assert facts.startswith("* ESEARCH") and (" UID" in facts) == by_uid, facts
    all_told = re.search(r" ALL ([\d:,]+)", facts)
    if returns != "(MIN MAX COUNT)":
        assert set(numbers(all_told.group(1)) if all_told else ()) - unsure == want, (facts, want)
    if returns and "COUNT" in returns:
        assert int(re.search(r"COUNT (\d+)", facts).group(1)) == len(want), (facts, want)
    if returns == "(MIN MAX COUNT)":
        least, most = re.search(r"MIN (\d+)", facts), re.search(r"MAX (\d+)", facts)
        assert (least and int(least.group(1)), most and int(most.group(1))) == (min(want, default=None), max(want, default=None)), (facts, want)


def copy(world, s, verb="COPY"):
    chosen = s.chosen()
    name = world.rng.choice(("INBOX", "Archive", "Archive", *world.account.boxes))
    target = world.account.boxes[name]
    move = verb == "MOVE"
    if not chosen or (target is s.box and move) or len(target.messages) > MESSAGES_MAX or (move and s.read_only):
        return
    prefix, set_text, uids, by_uid = chosen
    if not uids:
        s.command(f'{prefix}{verb} {set_text} "{name}"', True, want="OK" if by_uid else "NO")
        return
    mapping = world.account.copy(s.box, uids, target, move)
    answer, untagged = s.command(f'{prefix}{verb} {set_text} "{name}"', True)
    code = re.search(r"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", " ".join([answer] + [u.decode("latin-1") for u in untagged]))
    validity(target, int(code.group(1)))
    assert list(zip(numbers(code.group(2)), numbers(code.group(3)))) == mapping, (answer, mapping)


def move(world, s):
    copy(world, s, "MOVE")


def expunge(world, s):
    if not s.box or s.read_only:
        return
    marked = {uid for uid, m in s.box.messages.items() if "\\Deleted" in m.flags}
    known = {entry[0] for entry in s.view}
    line = "EXPUNGE"
    if world.rng.random() < 0.5 and known - {None}:
        some = sorted(world.rng.sample(sorted(known - {None}), min(3, len(known - {None}))))
        marked, line = marked & set(some), "UID EXPUNGE " + ",".join(map(str, some))
    for uid in marked:
        del s.box.messages[uid]
    s.command(line, True)


def status_of(world, s, name):
    box = world.account.boxes[name]
    _, untagged = s.command(f'STATUS "{name}" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ)', True)
    line = next(u.decode() for u in untagged if u.startswith(b"* STATUS"))
    told = {k: int(v) for k, v in re.findall(r"(\w+) (\d+)", line[line.rindex("("):])}
    validity(box, told.pop("UIDVALIDITY"))
    highest = told["HIGHESTMODSEQ"]
    want = {"MESSAGES": len(box.messages), "UIDNEXT": box.next, "UNSEEN": sum("\\Seen" not in m.flags for m in box.messages.values()),
            "DELETED": sum("\\Deleted" in m.flags for m in box.messages.values()), "SIZE": sum(len(m.bytes) for m in box.messages.values()),
            "HIGHESTMODSEQ": highest}
    assert told == want, (name, told, want)
    for message in box.messages.values():
        assert highest >= (message.modseq or message.above + 1), ("HIGHESTMODSEQ below a message's", highest, message.modseq, message.above)
    return told


def status(world, s):
    status_of(world, s, world.rng.choice(list(world.account.boxes)))


def list_names(world, s):
    pattern = world.rng.choice(("*", "%", "%/%", "One*", "One/%", "*Two*", "INBOX", "F%", "Nothing"))
    _, untagged = s.command(f'LIST "" "{pattern}" RETURN (CHILDREN SUBSCRIBED)', True)
    told = {}
    for line in untagged:
        match = re.match(r'\* LIST \(([^)]*)\) "/" "?([^"]*)"?$', line.decode())
        if match:
            told[match.group(2)] = ("\\HasChildren" in match.group(1), "\\Subscribed" in match.group(1))
    want = {name: (children, world.account.boxes[name].subscribed) for name, children in world.account.list(pattern).items()}
    assert told == want, (pattern, told, want)


def subscribe(world, s):
    name, on = world.rng.choice(list(world.account.boxes)), world.rng.random() < 0.5
    world.account.boxes[name].subscribed = on
    s.command(f'{"" if on else "UN"}SUBSCRIBE "{name}"', True)


def create(world, s):
    name = world.rng.choice(NAMES)
    there = name in world.account.boxes
    if not there:
        world.account.create(name)
    s.command(f'CREATE "{name}"', True, want="NO" if there else "OK")


def delete(world, s):
    """Whoever has it selected is told that it is closed; what it held is gone."""
    name = world.rng.choice(NAMES)
    box = world.account.boxes.get(name)
    if not box or any(other.startswith(name + "/") for other in world.account.boxes):
        return
    subscribed = box.subscribed
    if subscribed:
        box.subscribed = False
        s.command(f'UNSUBSCRIBE "{name}"', True)
    del world.account.boxes[name]
    for other in world.sessions:
        if other.box is box:
            other.closed, other.box = True, box
    s.command(f'DELETE "{name}"', not s.closed)  # what changed in it may still be told before that it is closed


def rename(world, s):
    old, new = world.rng.choice(NAMES), world.rng.choice(NAMES)
    boxes = world.account.boxes
    if new == old or new.startswith(old + "/") or old.startswith(new + "/"):
        return
    parent = new.rpartition("/")[0]
    if old in boxes and new not in boxes and not any(n.startswith(new + "/") for n in boxes) and (not parent or parent in boxes):
        if any(box.subscribed for name, box in boxes.items() if name == old or name.startswith(old + "/")):
            return
        world.account.rename(old, new)
        s.command(f'RENAME "{old}" "{new}"', True)
    elif old not in boxes:
        s.command(f'RENAME "{old}" "{new}"', True, want="NO")


ACTIONS = {append: 14, store: 20, fetch: 14, search: 14, copy: 5, move: 5, expunge: 6, noop: 6, check: 1, idle: 3, select: 5, unselect: 1, close: 1,
           status: 5, list_names: 3, subscribe: 1, create: 3, delete: 1, rename: 2}
SELECTED = (store, fetch, search, copy, move, expunge, check, unselect, close)


def step(world):
    s = world.rng.choice(world.sessions)
    if s.idling:
        done(world, s)
    if s.closed:
        noop(world, s)
        assert s.box is None, "a deleted mailbox stays selected"
    action = world.rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
    if action in SELECTED and not s.box:
        action = select
    action(world, s)
    s.fill()
    world.counts[action.__name__] += 1


def play(demo):
    world, end = World(demo, random.Random(SEED)), time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            step(world)
        for s in world.sessions:
            if s.idling:
                done(world, s)
            noop(world, s)
            if s.box:
                s.fetch_all()
            for name in list(world.account.boxes):
                status_of(world, s, name)
    except Exception as error:
        for line in [f"seed {SEED}, step {sum(world.counts.values())}; the last commands:", *world.trail, "the server said:", *demo.errors()[-3000:].split("\n")]:
            print(f"# {line}")
        raise AssertionError(f"seed {SEED}") from error
    return f"seed {SEED}, {sum(world.counts.values())} commands: {dict(world.counts)}"


tap = Tap()
with Demo(sys.argv[1]) as demo:
    tap.run(f"{SECONDS:.0f} s of random commands by five sessions: what Penfold tells is what a plain model says", play, demo)
tap.done()
