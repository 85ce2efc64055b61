"""Messages for tests: the corpus, and small ones of our own."""
import os
import random
import tarfile

from demo import corpus_dir


def canonical(raw):
    """What a server keeps: bare LF as CRLF, everything else as it is."""
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def corpus():
    """(name, bytes) of every message of the corpus, in the order of their names."""
    base = corpus_dir()
    for name in sorted(os.listdir(os.path.join(base, "nasty"))):
        with open(os.path.join(base, "nasty", name), "rb") as file:
            yield "nasty/" + name, file.read()
    with tarfile.open(os.path.join(base, "bulk.tar.xz")) as archive:
        # In the order of the archive: going back in it would unpack it again from its start.
        bulk = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    yield from sorted(bulk.items())


WORDS = "river stone lantern paper window garden copper thunder willow harbour engine marble violet candle meadow silver".split()


def small(number, rng=random, size=400):
    """A plain message with a unique Message-ID."""
    lines, length = [], 0
    while length < size:
        line = " ".join(rng.choice(WORDS) for _ in range(9))
        lines.append(line)
        length += len(line) + 2
    return (f"From: Ann <ann@example.org>\r\nTo: user0@example.org\r\nSubject: Message {number} about {rng.choice(WORDS)}\r\n"
            f"Message-ID: <{number}.{rng.getrandbits(64):x}@example.org>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n\r\n"
            + "\r\n".join(lines) + "\r\n").encode()
