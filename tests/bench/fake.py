"""A mail server as small as bench-load can be talked into believing in, and a liar on demand: for test_load.py.

`lie` names what it gets wrong, once per connection at the earliest chance; None: nothing.
"""
import re
import socketserver
import threading


class Fake(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, protocol, lie=None):
        super().__init__(("127.0.0.1", 0), {"imap": Imap, "lmtp": Lmtp, "pop3": Pop3}[protocol])
        self.lie, self.mail, self.flags, self.modseq, self.watchers = lie, [], {}, 1, []
        self.lock = threading.Lock()
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that went away is no news here."""

    def deliver(self, message):
        with self.lock:
            self.mail.append(message)
            for watcher in self.watchers:
                watcher.say(f"* {len(self.mail)} EXISTS")


class Session(socketserver.StreamRequestHandler):
    greeting = ""
    disable_nagle_algorithm = True

    def say(self, text, ending=b"\r\n"):
        self.wfile.write(text.encode() + ending)

    def lies(self, lie):
        return self.server.lie == lie

    def line(self):
        line = self.rfile.readline()
        if not line:
            raise ConnectionError
        return line.rstrip(b"\r\n").decode()

    def handle(self):
        self.say(self.greeting)
        while self.answer(self.line()):
            pass


def lower_header(message, name):
    return re.search(rb"^" + name + rb": (.*)\r$", message, re.M | re.I).group(1).decode()


class Imap(Session):
    greeting = "* OK hello"

    def answer(self, line):
        tag, name, rest = (line.split(" ", 2) + [""])[:3]
        if self.lies("silent") and name == "SELECT":
            return True
        if self.lies("hangs up") and name == "SELECT":
            return False
        ok = getattr(self, "do_" + name.lower())(tag, rest)
        if self.lies("wrong tag") and name == "SELECT":
            tag = "x" + tag
        word = "NO" if self.lies("refuses") and name == "SELECT" else "OK"
        self.say(f"{tag} {word} {ok or 'done'}", b"\n" if self.lies("bare LF") and name == "SELECT" else b"\r\n")
        return name != "LOGOUT"

    def do_login(self, tag, rest):
        pass

    def do_noop(self, tag, rest):
        pass

    def do_logout(self, tag, rest):
        if not self.lies("no BYE"):
            self.say("* BYE")

    def do_select(self, tag, rest):
        self.say(f"* {len(self.server.mail) + self.lies('wrong count')} EXISTS")
        self.say("* OK [UIDVALIDITY 7]")
        if not self.lies("no UIDNEXT"):
            self.say(f"* OK [UIDNEXT {len(self.server.mail) + 1}]")

    def do_append(self, tag, rest):
        while rest:
            size = int(re.search(r"\{(\d+)\+\}$", rest).group(1))
            message = self.rfile.read(size)
            if self.lies("changed byte"):
                message = message[:-20] + b"#" + message[-19:]
            if not self.lies("forgets"):
                self.server.mail.append(message)
            rest = self.line()
        uid = 1 if self.lies("same UID") else len(self.server.mail)
        return "done" if self.lies("no APPENDUID") else f"[APPENDUID 7 {uid}] done"

    def do_fetch(self, tag, rest):
        for number, message in enumerate(self.server.mail, 1):
            if self.lies("leaves one out") and number == 3:
                continue
            for _ in range(2 if self.lies("says one twice") and number == 3 else 1):
                self.fetch_one(number, message, rest)

    def fetch_one(self, number, message, items):
        if "BODY.PEEK[]" in items:
            if self.lies("cuts") and number == 3:
                message = message[:-7]
            if self.lies("another message") and number == 3:
                message = self.server.mail[0]
            self.say(f"* {number} FETCH (BODY[] {{{len(message)}}}")
            self.wfile.write(message + b")\r\n")
        elif "ENVELOPE" in items:
            subject = "something else" if self.lies("wrong subject") else lower_header(message, b"Subject")
            self.say(f'* {number} FETCH (ENVELOPE (NIL "{subject}" NIL "{lower_header(message, b"Message-ID")}") BODYSTRUCTURE ("TEXT"))')
        else:
            self.say(f"* {number} FETCH (FLAGS ())")

    def do_store(self, tag, rest):
        if self.lies("flag not set") or "SILENT" in rest:
            return
        number, change = rest.split(" ", 1)
        self.say(f"* {number} FETCH (FLAGS ({chr(92) + 'Flagged' if change[0] == '+' else ''}))")

    def do_search(self, tag, rest):
        item, needle = rest.lower().split()
        texts = [lower_header(m, b"Subject") if item == "subject" else m.decode().split("\r\n\r\n", 1)[1] for m in self.server.mail]
        found = [number for number, text in enumerate(texts, 1) if needle in text.lower()]
        if self.lies("finds nothing"):
            found = []
        if self.lies("finds too much"):
            found = sorted(set(found) | {1})
        self.say(" ".join(["* SEARCH"] + [str(n) for n in found]))

    def do_idle(self, tag, rest):
        self.say("+ waiting")
        if self.lies("tells too many"):
            self.server.mail.append(b"")
        with self.server.lock:
            self.server.watchers.append(self)
        while self.line() != "DONE":
            pass


class Lmtp(Session):
    greeting = "220 hello"

    def answer(self, line):
        name = line.split(" ")[0].split(":")[0].upper()
        if name == "DATA":
            self.say("354 go on")
            message = b""
            while not message.endswith(b"\r\n.\r\n"):
                message += self.rfile.readline()
            if self.lies("not accepted"):
                self.say("451 later")
            else:
                self.server.deliver(message[:-3])
                self.say("250 accepted")
        elif name == "RCPT" and self.lies("no such user"):
            self.say("550 nobody")
        else:
            self.say("221 bye" if name == "QUIT" else "250 fine")
        return name != "QUIT"


class Pop3(Session):
    greeting = "+OK hello"

    def answer(self, line):
        name, _, rest = line.partition(" ")
        if name == "STAT":
            self.say(f"+OK {len(self.server.mail)} 1000")
        elif name == "RETR":
            message = self.server.mail[int(rest) - (2 if self.lies("another message") else 1)]
            if self.lies("changed byte"):
                message = message[:-20] + b"#" + message[-19:]
            if self.lies("changed field"):
                message = message.replace(b"Subject: ", b"subject: ", 1)
            if self.lies("cuts"):
                message = message[:-2]
            if self.lies("puts a field in front"):
                message = b"Received: here\r\n" + message
            if self.lies("puts a line behind"):
                message += b"\r\n"
            if self.lies("stuffs what needs none"):
                message = message.replace(b"\r\n\r\n", b"\r\n\r\n.", 1)
            self.say("+OK")
            self.wfile.write(message + (b"" if self.lies("no end") else b".\r\n"))
        elif name == "DELE" and self.lies("no DELE"):
            self.say("-ERR no")
        else:
            self.say("+OK")
        return name != "QUIT"
