"""What IMAP says an account is, as plainly as it can be written: mailboxes are dictionaries of messages, searching is asking each message.

MODSEQs are the server's to choose. The model knows of each message the last one it was told of, or that the next must be above all before it.
"""
import re

FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Work", "Later")
DAYS = ("1-Feb-2024", "15-Feb-2024", "29-Feb-2024", "1-Mar-2024", "2-Mar-2024")
PEOPLE = ("ann", "bob", "cid", "dee")
WORDS = ("river", "stone", "lantern", "paper", "window", "garden", "copper", "thunder")


class Message:
    def __init__(self, number, rng):
        self.sender, self.subject = rng.choice(PEOPLE), rng.sample(WORDS, 2)
        self.text = rng.sample(WORDS, rng.randint(1, 4))
        self.day, self.sent = rng.randrange(len(DAYS)), rng.randrange(len(DAYS))
        self.flags, self.history, self.modseq, self.above = frozenset(), set(), None, 0
        self.bytes = (
            f"From: {self.sender}@example.org\r\nTo: user0@example.org\r\nSubject: {' '.join(self.subject)} {number}\r\n"
            f"Date: {DAYS[self.sent].replace('-', ' ')} 12:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\r\n"
            f"{' '.join(self.text)}\r\n").encode()

    def header(self):
        return self.bytes.split(b"\r\n\r\n")[0].decode()


class Box:
    def __init__(self):
        self.messages, self.next, self.validity, self.subscribed = {}, 1, None, False


class Account:
    def __init__(self, names):
        self.boxes = {name: Box() for name in names}
        self.highest = 0  # of all MODSEQs told of so far

    # ---- Changes ----

    def changed(self, message):
        message.modseq, message.above = None, self.highest

    def add(self, box, message, flags):
        uid = box.next
        message.flags = frozenset(flags)
        message.history = {message.flags}
        box.messages[uid] = message
        box.next += 1
        self.changed(message)
        return uid

    def store(self, box, uids, mode, flags):
        """What a message already has is no change, and gets no new MODSEQ."""
        for uid in uids:
            message = box.messages[uid]
            new = {"": flags, "+": message.flags | flags, "-": message.flags - flags}[mode]
            if new != message.flags:
                message.flags = new
                message.history.add(new)
                self.changed(message)

    def copy(self, box, uids, target, move):
        mapping = []
        for uid in uids:
            old = box.messages[uid]
            new = Message.__new__(Message)
            new.__dict__.update(old.__dict__)
            mapping.append((uid, self.add(target, new, old.flags)))
            if move:
                del box.messages[uid]
        return mapping

    def create(self, name):
        """Its parents come with it."""
        parts = name.split("/")
        for i in range(1, len(parts) + 1):
            self.boxes.setdefault("/".join(parts[:i]), Box())

    def rename(self, old, new):
        for name in [n for n in self.boxes if n == old or n.startswith(old + "/")]:
            self.boxes[new + name[len(old):]] = self.boxes.pop(name)

    def list(self, pattern):
        """Names to whether they have children. `*` is everything, `%` stops at the separator."""
        expression = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
        return {name: any(other.startswith(name + "/") for other in self.boxes)
                for name in self.boxes if re.fullmatch(expression, name)}

    def told_modseq(self, message, modseq):
        """It grows with every change, above whatever there was, and with nothing else."""
        if message.modseq is None:
            assert modseq > message.above, ("MODSEQ has not grown", modseq, message.above)
        else:
            assert modseq == message.modseq, ("MODSEQ of an unchanged message", modseq, message.modseq)
        message.modseq = modseq
        self.highest = max(self.highest, modseq)


# ---- Searching: a key is a tuple, text(key) is its IMAP form ----

def random_key(rng, box, view, depth=2):
    kinds = ["flag", "flag", "noflag", "from", "subject", "body", "text", "larger", "smaller", "before", "on", "since", "sentbefore", "senton",
             "sentsince", "uid", "seq", "all", "header"] + (["not", "or", "and"] if depth else [])
    kind = rng.choice(kinds)
    if kind in ("flag", "noflag"):
        return kind, rng.choice(FLAGS)
    if kind in ("from",):
        return kind, rng.choice(PEOPLE)
    if kind in ("subject", "body", "text", "header"):
        word = rng.choice(WORDS)
        return kind, word[rng.randrange(3):][:rng.randint(2, 8)]
    if kind in ("larger", "smaller"):
        return kind, rng.randint(150, 260)
    if kind in ("before", "on", "since", "sentbefore", "senton", "sentsince"):
        return kind, rng.randrange(len(DAYS))
    if kind == "uid":
        return kind, rng.randint(1, box.next), rng.randint(1, box.next)
    if kind == "seq":
        return (kind, rng.randint(1, len(view)), rng.randint(1, len(view))) if view else ("all",)
    if kind == "not":
        return kind, random_key(rng, box, view, depth - 1)
    if kind in ("or", "and"):
        return kind, random_key(rng, box, view, depth - 1), random_key(rng, box, view, depth - 1)
    return (kind,)


def text(key):
    kind = key[0]
    if kind in ("flag", "noflag"):
        un = "UN" if kind == "noflag" else ""
        return un + key[1][1:].upper() if key[1].startswith("\\") else f"{un}KEYWORD {key[1]}"
    if kind in ("before", "on", "since", "sentbefore", "senton", "sentsince"):
        return f"{kind.upper()} {DAYS[key[1]]}"
    if kind == "uid":
        return f"UID {key[1]}:{key[2]}"
    if kind == "seq":
        return f"{key[1]}:{key[2]}"
    if kind == "not":
        return "NOT " + text(key[1])
    if kind == "or":
        return f"OR {text(key[1])} {text(key[2])}"
    if kind == "and":
        return f"({text(key[1])} {text(key[2])})"
    if kind == "header":
        return f"HEADER Subject {key[1]}"
    return " ".join(str(part).upper() if i == 0 else str(part) for i, part in enumerate(key))


def matches(key, seq, uid, m):
    kind, value = key[0], key[1] if len(key) > 1 else None
    body = m.bytes.split(b"\r\n\r\n", 1)[1].decode()
    subject = re.search(r"Subject: (.*)", m.header()).group(1)
    if kind == "not":
        return not matches(key[1], seq, uid, m)
    if kind == "or":
        return matches(key[1], seq, uid, m) or matches(key[2], seq, uid, m)
    if kind == "and":
        return matches(key[1], seq, uid, m) and matches(key[2], seq, uid, m)
    return {
        "all": lambda: True,
        "flag": lambda: value in m.flags,
        "noflag": lambda: value not in m.flags,
        "from": lambda: value in m.sender,
        "subject": lambda: value in subject,
        "header": lambda: value in subject,
        "body": lambda: value in body,
        "text": lambda: value in m.bytes.decode().lower(),
        "larger": lambda: len(m.bytes) > value,
        "smaller": lambda: len(m.bytes) < value,
        "before": lambda: m.day < value,
        "on": lambda: m.day == value,
        "since": lambda: m.day >= value,
        "sentbefore": lambda: m.sent < value,
        "senton": lambda: m.sent == value,
        "sentsince": lambda: m.sent >= value,
        "uid": lambda: min(key[1:]) <= uid <= max(key[1:]),
        "seq": lambda: min(key[1:]) <= seq <= max(key[1:]),
    }[kind]()


def numbers(set_text):
    """"1,3:5" as a list in its order."""
    found = []
    for part in set_text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found
