"""Thin clients that show every byte: LMTP and IMAP by hand, for tests that must know what was acknowledged when."""
import re
import socket


class Lmtp:
    """`place` is a port on loopback, or the path of a Unix socket."""

    def __init__(self, place):
        if isinstance(place, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(30)
            self.sock.connect(place)
        else:
            self.sock = socket.create_connection(("127.0.0.1", place), 30)
        self.file = self.sock.makefile("rb")
        self.reply()
        self.command(b"LHLO test.example.org")

    def reply(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("closed")
            lines.append(line.rstrip(b"\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), lines

    def command(self, line):
        self.sock.sendall(line + b"\r\n")
        return self.reply()

    def send(self, recipients, body, sender=b"sender@example.org"):
        """Returns the code per recipient."""
        code, text = self.command(b"MAIL FROM:<" + sender + b">")
        if code != 250:
            return [code] * len(recipients)
        codes = [self.command(b"RCPT TO:<" + r.encode() + b">")[0] for r in recipients]
        if 250 not in codes:
            self.command(b"RSET")
            return codes
        code, text = self.command(b"DATA")
        if code != 354:
            return [code] * len(recipients)
        self.sock.sendall((b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return [self.reply()[0] if c == 250 else c for c in codes]

    def close(self):
        self.sock.close()


class Imap:
    """imap.command(b"NOOP") -> (b"OK", text, [untagged lines]); literals come joined into their line."""

    def __init__(self, port, user=None, password=None):
        self.sock = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.sock.makefile("rb")
        self.number = 0
        self.greeting = self.line()
        if user:
            status, text, _ = self.command(f'LOGIN "{user}" "{password}"'.encode())
            if status != b"OK":
                raise PermissionError(text)

    def line(self):
        whole = b""
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            whole += line[:-2]
            match = re.search(rb"\{(\d+)\}$", whole)
            if not match or not line.endswith(b"}\r\n"):
                return whole
            literal = self.file.read(int(match.group(1)))
            if len(literal) < int(match.group(1)):
                raise ConnectionError("closed")
            whole += b"\r\n" + literal

    def send(self, text):
        self.number += 1
        tag = b"a%d" % self.number
        self.sock.sendall(tag + b" " + text + b"\r\n")
        return tag

    def wait(self, tag):
        untagged = []
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                status, _, text = line[len(tag) + 1:].partition(b" ")
                return status, text, untagged
            untagged.append(line)

    def command(self, text):
        return self.wait(self.send(text))

    def good(self, text):
        """A command that must succeed; returns (text of the OK, untagged)."""
        status, answer, untagged = self.command(text)
        if status != b"OK":
            raise RuntimeError(f"{text!r}: {status!r} {answer!r}")
        return answer, untagged

    def append(self, mailbox, body, flags=b""):
        tag = self.send(b"APPEND " + mailbox + b" " + (b"(" + flags + b") " if flags else b"") + b"{%d+}\r\n" % len(body) + body)
        return self.wait(tag)

    def close(self):
        self.sock.close()
