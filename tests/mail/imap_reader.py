"""Just enough of an IMAP client for the differential test: commands in a row, answers as Python values."""
import re
import socket

TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|([()])|\{(\d+)\}\r\n|([^\s()"{]+\[[^\]]*\](?:<\d+>)?)|([^\s()"]+)|[ ]+')
ESCAPE = re.compile(rb"\\(.)", re.S)


def parse(data, at=0):
    """The value that begins at `at`: bytes for strings, None for NIL, int for numbers, str for atoms, lists."""
    stack, top = [], []
    while at < len(data):
        match = TOKEN.match(data, at)
        if not match:
            break
        at = match.end()
        kind = match.lastindex
        if kind is None:
            continue
        if kind == 1:
            text = match.group(1)
            top.append(ESCAPE.sub(rb"\1", text) if b"\\" in text else text)
        elif kind == 2 and match.group(2) == b"(":
            stack.append(top)
            top = []
        elif kind == 2:
            inner, top = top, stack.pop()
            top.append(inner)
        elif kind == 3:
            length = int(match.group(3))
            top.append(data[at:at + length])
            at += length
        elif kind == 4:
            top.append(match.group(4).decode("latin-1"))
        else:
            atom = match.group(5)
            top.append(None if atom.upper() == b"NIL" else int(atom) if atom.isdigit() else atom.decode("latin-1"))
    return top


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb", buffering=1 << 20)
        self.file.readline()

    def close(self):
        self.file.close()
        self.socket.close()

    def answer(self):
        """One whole response, literals included."""
        pieces = []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the server closed the connection")
            pieces.append(line)
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return b"".join(pieces)
            pieces.append(self.file.read(int(literal.group(1))))

    def send(self, *commands):
        self.socket.sendall(b"".join(b"%d %s\r\n" % (number, command) for number, command in commands))

    def results(self, tags):
        """The FETCH answers as dictionaries until all these commands are done; a server may work on several at once."""
        waiting = set(tags)
        while waiting:
            answer = self.answer()
            tag = re.match(rb"(\d+) (\S+)", answer)
            if tag:
                if tag.group(2) != b"OK":
                    raise ValueError(answer[:200].decode("latin-1"))
                waiting.remove(int(tag.group(1)))
            elif b" FETCH (" in answer[:40]:
                items = parse(answer, answer.index(b"("))[0]
                yield {name.upper(): value for name, value in zip(items[::2], items[1::2])}

    def run(self, tag, command):
        self.send((tag, command))
        return list(self.results([tag]))
