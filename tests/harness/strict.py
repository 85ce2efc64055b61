"""An IMAP client that takes nothing but what the grammar of responses allows: what a header or a name slipped into an answer shows as an error."""
import re
import socket

ATOM = rb'[^\x00-\x20\x7f-\xff(){"\\\]%*]'


class Violation(Exception):
    pass


class Strict:
    """command(b"NOOP") -> (b"OK", text, [responses]); a response is a list of tokens: bytes for atoms, ("s", bytes) for strings, lists."""

    def __init__(self, port, user=None, password=None, utf8=False):
        self.sock = socket.create_connection(("127.0.0.1", port), 30)
        self.buffer, self.number, self.utf8 = b"", 0, False
        self.greeting = self.text_line()
        if user:
            self.good(b"LOGIN", f'"{user}" "{password}"'.encode())
            if utf8:
                self.good(b"ENABLE UTF8=ACCEPT")
                self.utf8 = True

    # -- bytes --

    def fill(self, count):
        while len(self.buffer) < count:
            got = self.sock.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.buffer += got

    def peek(self):
        self.fill(1)
        return self.buffer[:1]

    def take(self, count):
        self.fill(count)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def expect(self, text):
        got = self.take(len(text))
        if got != text:
            raise Violation(f"{got!r} instead of {text!r}, before {self.buffer[:80]!r}")

    def text_line(self):
        """resp-text: no CR, LF or NUL, 8-bit only as UTF-8."""
        while b"\n" not in self.buffer:
            self.fill(len(self.buffer) + 1)
        line = self.take(self.buffer.index(b"\n") + 1)
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line or re.search(rb"[\x01-\x08\x0b-\x1f\x7f]", line[:-2]):
            raise Violation(f"text {line!r}")
        line.decode("utf-8" if self.utf8 else "ascii")
        return line[:-2]

    # -- tokens --

    def quoted(self):
        self.expect(b'"')
        out = b""
        while True:
            byte = self.take(1)
            if byte == b'"':
                break
            if byte == b"\\":
                byte = self.take(1)
                if byte not in b'"\\':
                    raise Violation(f"escape of {byte!r}")
            elif byte in b"\r\n\0":
                raise Violation(f"{byte!r} in a quoted string after {out!r}")
            out += byte
        out.decode("utf-8" if self.utf8 else "ascii")
        return ("s", out)

    def literal(self):
        if self.peek() == b"~":
            self.take(1)
        self.expect(b"{")
        digits = b""
        while self.peek().isdigit():
            digits += self.take(1)
        self.expect(b"}\r\n")
        return ("s", self.take(int(digits)))

    def atom(self):
        """With what may stand in brackets behind the name of a part: BODY[HEADER.FIELDS ("x")]<0>."""
        out = self.take(1)
        if not re.match(ATOM + rb"|[\\]", out):
            raise Violation(f"{out!r} where a token begins, before {self.buffer[:80]!r}")
        depth = 0
        while True:
            byte = self.peek()
            if depth:
                if byte == b'"':
                    out += self.quoted()[1]
                    continue
                if byte == b"{":
                    out += self.literal()[1]
                    continue
                if byte in b"\r\n":
                    raise Violation(f"line ends inside brackets: {out!r}")
            elif byte == b"[" and re.fullmatch(rb"BODY|BINARY(\.SIZE)?", out):
                depth = 1
            elif not re.match(ATOM + rb"|[\]*]", byte):
                return out
            depth -= depth and byte == b"]"
            out += self.take(1)

    def token(self):
        first = self.peek()
        if first == b"(":
            self.take(1)
            items = []
            while self.peek() != b")":
                if self.peek() == b" ":
                    self.take(1)
                items.append(self.token())
            self.take(1)
            return items
        if first == b'"':
            return self.quoted()
        if first == b"~":
            self.fill(2)
        if first == b"{" or self.buffer.startswith(b"~{"):
            return self.literal()
        return self.atom()

    def response(self):
        """(tag, tokens or text)"""
        tag = b""
        while self.peek() != b" ":
            tag += self.take(1)
            if len(tag) > 40 or tag[-1:] in b"\r\n":
                raise Violation(f"tag {tag!r}")
        self.take(1)
        word = self.atom() if tag != b"+" else b""
        if tag == b"+" or word in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
            return tag, [word, self.text_line()]
        tokens = [word]
        while self.peek() == b" ":
            self.take(1)
            if self.peek() == b"\r":  # an empty SEARCH or FLAGS
                break
            tokens.append(self.token())
        self.expect(b"\r\n")
        return tag, tokens

    # -- commands --

    def command(self, text, *literals):
        """What is in `literals` follows, each as a literal that does not wait."""
        self.number += 1
        tag = b"s%d" % self.number
        self.sock.sendall(tag + b" " + text + b"".join(b" {%d+}\r\n" % len(data) + data for data in literals) + b"\r\n")
        untagged = []
        while True:
            got, tokens = self.response()
            if got == tag:
                return tokens[0], tokens[1].strip(), untagged
            if got != b"*":
                raise Violation(f"a response for {got!r}")
            untagged.append(tokens)

    def good(self, text, rest=b""):
        status, said, untagged = self.command(text + (b" " + rest if rest else b""))
        if status != b"OK":
            raise RuntimeError(f"{text!r}: {status!r} {said!r}")
        return untagged

    def close(self):
        self.sock.close()
