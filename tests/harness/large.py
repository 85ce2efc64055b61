"""A message of 98 MiB that need never be held in memory, and an eye on the memory of those who carry it."""
import hashlib
import re
import threading
import time

from wire import Lmtp

MEBIBYTE = 1 << 20
BYTES = 98 * MEBIBYTE
HEADER = (b"From: Ann <ann@example.org>\r\nTo: user0@example.org\r\nSubject: Large\r\nMIME-Version: 1.0\r\n"
          b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n"
          b"--b\r\nContent-Type: application/octet-stream; name=big.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")


def pieces():
    """The body in pieces of about 1 MB, the same each time; base64 of noise, so that it does not compress."""
    yield HEADER
    sent, number = len(HEADER), 0
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    table = bytes(alphabet[i % 64] for i in range(256))
    while sent < BYTES:
        noise = b"".join(hashlib.blake2b(b"%d.%d" % (number, i)).digest() for i in range(16384)).translate(table)
        piece = b"\r\n".join(noise[i:i + 76] for i in range(0, len(noise), 76)) + b"\r\n"
        sent, number = sent + len(piece), number + 1
        yield piece
    yield b"--b--\r\n"


class Memory(threading.Thread):
    """Highest anonymous memory of some processes together while it runs."""

    def __init__(self, *pids):
        super().__init__(daemon=True)
        self.pids, self.over = pids, False
        self.first = self.highest = self.now()

    def now(self):
        kibibytes = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/status") as file:
                kibibytes += int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1))
        return kibibytes * 1024

    def run(self):
        while not self.over:
            self.highest = max(self.highest, self.now())
            time.sleep(0.005)

    def grown(self):
        """Ends the watching; how much more it was than at the start."""
        self.over = True
        self.join()
        return self.highest - self.first


def deliver(demo):
    lmtp = Lmtp(demo.lmtp)
    lmtp.command(b"MAIL FROM:<a@example.org>")
    lmtp.command(b"RCPT TO:<" + demo.user.encode() + b">")
    assert lmtp.command(b"DATA")[0] == 354
    for piece in pieces():
        lmtp.sock.sendall(piece)
    assert lmtp.command(b".")[0] == 250


def digest_of(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
