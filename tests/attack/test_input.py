"""Names, headers, keywords and texts that try to be something else: another response, another path, another message, another line of the log.

    test_input.py PENFOLD
"""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from strict import Strict
from tap import Tap
from wire import Lmtp

EVIL = b"\r\n* 99 EXISTS\r\ns1 OK done\r\n"
LOG_LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) event=[a-z-]+( [a-z_]+=(\"(\\.|[^\"\\])*\"|[^ \"]+))*$"

# No mailbox ever has such a name (RFC 9051 5.1; RFC 3501 5.1.3; RFC 5198 for UTF-8).
NEVER = [b"a" + EVIL, b"a\nb", b"a\rb", b"a\0b", b"\0", b"a\x01b", b"a\x7fb", b"\x1b[2J", b"", b"/", b"//", b"///", b"a//b", b"/a", b"//a/b", b"n" * 1001,
         b"/".join([b"d"] * 21)]
NEVER_UTF7 = [b"&AC8-", b"&AAA-", b"&AA0ACg-", b"&AAo-", b"x&AAE-", b"&AH8-", b"&AC4ALg-/x", b"&AGE-", b"&2AA-", b"&3AA-", b"&2ADYAA-", b"&", b"a&b",
              b"&ABC", b"&AOQ", b"&AOQ=-", b"&A-", b"&*-", b"&AOT-", b"&AOQ-&AOQ-", b"\xc3\xa4", b"\xff", b"&AIU-", b"&ICg-", b"&ICk-"]
NEVER_UTF8 = [b"\xc0\xae\xc0\xae/x", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\x9c", b"\xff", b"\xc3", b"\xed\xa0\x80",
              b"\xf4\x90\x80\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc0\x80"]
# These may be: to us they are names, not paths and not syntax.
MAYBE = [b"..", b".", b"../x", b"../../../../../../../../etc/passwd", b"a/../b", b"a/./b", b"INBOX/../x", b"%2e%2e%2fetc", b"..%2f..%2f", b"..\\..\\x",
         b'q"uote', b"back\\slash", b"{5}", b"{5+}", b"a]b", b"* OK", b"a b", b" a", b"a ", b"(", b")", b"NIL", b'"', b"\\", b"~root", b"$HOME", b"`id`",
         b"C:\\x", b"a%b", b"a*b", b"&-", b"&AOQ-", b"&-&-", b"n" * 1000, b"/".join([b"d"] * 20), b"journal", b"index/data.mdb", b"s1 OK", b"inbox/x"]


def listed(client, pattern=b"*"):
    """Names as LIST gives them, by the strict reader."""
    return [tokens[3][1] if isinstance(tokens[3], tuple) else tokens[3] for tokens in client.good(b'LIST "" ' + pattern) if tokens[0] == b"LIST"]


def every_way(client, name):
    """Everything that takes a mailbox name, and is answered by the book."""
    for command in (b"STATUS", b"SELECT", b"EXAMINE", b"SUBSCRIBE", b"UNSUBSCRIBE", b"DELETE", b"GETQUOTAROOT"):
        status, _, untagged = client.command(command, *([name] if command != b"STATUS" else []))
        assert not [tokens for tokens in untagged if tokens == [b"99", b"EXISTS"]], (command, name)
    client.command(b'LIST ""', name)
    client.command(b"LIST", name, b"*")
    client.command(b'LSUB ""', name)


def never(client, names):
    for name in names:
        before = sorted(listed(client))
        for command in (b"CREATE", b"RENAME Drafts"):
            assert client.command(command, name)[0] in (b"NO", b"BAD"), (command, name)
        every_way(client, name)
        client.command(b"APPEND", name, b"Subject: x\r\n\r\nx\r\n")
        assert sorted(listed(client)) == before, name


def maybe(client, names):
    """Made or refused, and where made, it is told of by the same name."""
    made = 0
    for name in names:
        before = set(listed(client))
        status, _, _ = client.command(b"CREATE", name)
        after = set(listed(client))
        if status == b"OK":
            made += 1
            new = sorted(after - before, key=len)
            assert new and new[-1].lower() == name.rstrip(b"/").lower(), (name, new)
            assert client.command(b"APPEND", name, b"Subject: x\r\n\r\nx\r\n")[0] == b"OK", name
            untagged = client.good(b"LIST (SUBSCRIBED) \"\" \"*\" RETURN (STATUS (MESSAGES))")
            assert untagged is not None
            for leaf in reversed(new):
                assert client.command(b"DELETE", leaf)[0] == b"OK", leaf
        assert set(listed(client)) == before, name
        every_way(client, name)
    return f"{made} of {len(names)} were made"


def files_below(path):
    return {os.path.relpath(os.path.join(folder, name), path) for folder, _, names in os.walk(path) for name in names}


def no_paths(demo):
    """No name has become part of a path: only what every store has lies there."""
    index, journal, search = r"index/(data|lock)\.mdb", r"journal/[0-9a-f]{16}\.(seg|spare)", r"search/[0-9a-f]+/([0-9a-f]+(-[0-9a-f]+){4}|new)"
    usual = rf"penfold\.(log|conf)|control|data/(lock|salt|{index}|{journal}|{search}|[a-z.-]+)"
    strange = [path for path in files_below(demo.directory) if not re.fullmatch(usual, path)]
    assert not strange, strange


# ---- Headers ----

FIELDS = [
    b"Subject: a\r b", b"Subject: =?utf-8?q?=0D=0A*_99_EXISTS=0D=0A?=", b"Subject: =?utf-8?b?DQoqIDk5IEVYSVNUUw0K?=", b'Subject: "a\\', b"Subject: {5}",
    b"Subject: \xff\xfe\x80 raw", b"Subject: a\r\n {99999}\r\n )", b"Subject: \x01\x1b[2J\x7f", b"Subject: )))) (((( [] NIL", b"Subject: " + b"x" * 4000,
    b'From: "a\\\r\n b" <c@d>', b'From: "* 99 EXISTS\\"" <"q\\"x"@[1.2.3.4]>', b"From: =?utf-8?q?=22=0D=0A?= <a@b>", b"From: a\0b <c@d>", b"From: <@a,@b:c@d>",
    b"From: g:" + b"a@b," * 300 + b";", b"To: (com(ment) {3}\r\n ) x@y", b"Message-ID: <a b\t\"c\\@d>", b"Message-ID: {10}", b"In-Reply-To: <x>\r\n <y>",
    b"Date: {5}", b"Date: Mon, 1 Jan 2026 \" \\", b"Reply-To: \xc3\xa4@\xc3\xb6.example", b"Content-Description: =?utf-8?q?=0D=0A?= \"\\",
    b"Content-ID: <\"\\>{1}", b"Content-Location: a\r\n b", b"Content-Language: a\", b\\", b"Content-MD5: {7}", b"Sender: \x80 <\x80@\x80>", b"X-Evil: \r\n",
]
TYPES = [
    b'text/plain; charset="a\\"b"', b"text/plain; charset=\"x\\\\\"; name={5}", b"text/plain; name*=utf-8''a%0D%0A%2A%2099%20EXISTS", b'text/"x"; a=b',
    b"text/plain; name*0=a; name*1*=%0d%0a; name*2=\"b\\", b"te(st)/pl\\ain", b"text/plain; a=\"\r\n b\"", b"text/plain; \xff=\xfe", b"{3}/{4}",
    b"multipart/mixed; boundary=\"a\\\"b\"", b"message/rfc822", b"text/plain; format=)", b"", b"text/plain; name==?utf-8?q?=0D=0A?=",
]


def evil_messages():
    for i, field in enumerate(FIELDS):
        yield b"Subject: s\r\n" * (not field.startswith(b"Subject")) + field + b"\r\n\r\nbody %d\r\n" % i
    for kind in TYPES:
        yield (b"Content-Type: " + kind + b"\r\nContent-Disposition: attachment; filename=\"a\\\"\r\n b\"\r\nContent-Transfer-Encoding: {8}bit\r\n\r\n"
               b"--a\"b\r\nContent-Type: " + kind + b"\r\n\r\n" + EVIL + b"\r\n--a\"b--\r\n")


def evil_headers(demo, utf8):
    lmtp, messages = Lmtp(demo.lmtp), list(evil_messages())
    client = Strict(demo.imap, demo.user, demo.password, utf8)
    client.good(b"CREATE Evil")
    for message in messages:
        assert lmtp.send([demo.user], message) == [250]
        client.command(b"APPEND Evil", message.replace(b"\0", b""))
    lmtp.close()
    exists = {}
    for mailbox in (b"INBOX", b"Evil"):
        untagged = client.good(b"SELECT " + mailbox)
        exists[mailbox] = int(next(tokens[0] for tokens in untagged if tokens[1:] == [b"EXISTS"]))
        for items in (b"ENVELOPE", b"BODYSTRUCTURE", b"BODY", b"(BODY.PEEK[HEADER.FIELDS (Subject From To Date Message-ID X-Evil Content-Type)])",
                      b"(FLAGS UID BODY.PEEK[HEADER] RFC822.SIZE)", b"(BODY.PEEK[1.MIME] BODY.PEEK[1])", b"(EMAILID THREADID)", b"FULL"):
            untagged = client.good(b"FETCH 1:* " + items)
            fetched = [tokens for tokens in untagged if tokens[1:2] == [b"FETCH"]]
            assert len(fetched) == len(untagged) == exists[mailbox], (items, len(fetched), untagged[-1])
            for i, tokens in enumerate(fetched):
                assert tokens[0] == b"%d" % (i + 1) and len(tokens) == 3 and isinstance(tokens[2], list) and len(tokens[2]) % 2 == 0, tokens
        for key in (b"SUBJECT", b"FROM", b"TEXT", b"HEADER X-Evil"):
            untagged = client.command(b"SEARCH CHARSET UTF-8 " + key, b"99 EXISTS")[2]
            assert all(tokens[0] in (b"SEARCH", b"ESEARCH") for tokens in untagged), untagged
    assert exists[b"INBOX"] >= len(messages) and exists[b"Evil"] >= len(messages) - 2
    client.good(b"SELECT INBOX")
    client.good(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.good(b"EXPUNGE")
    client.good(b"SELECT Evil")
    client.good(b"UNSELECT")
    client.good(b"DELETE Evil")
    client.close()
    return f"{len(messages)} messages, delivered and appended"


# ---- Keywords, IDs, texts of errors ----

def keywords(demo):
    client = Strict(demo.imap, demo.user, demo.password)
    client.command(b"APPEND INBOX", b"Subject: x\r\n\r\nx\r\n")
    client.good(b"SELECT INBOX")
    for keyword in (b"a]b", b"a{3}", b"\\Evil", b"\\*", b"\xff", b"a\"b", b"a\\b", b"a(b", b"a%", b"*", b"a\0b", b"a\x01", b"k" * 129, b"[", b"{9}", b"\\",
                    b"a\rb", b"$", b"NIL", b"+FLAGS"):
        status, _, untagged = client.command(b"STORE 1 +FLAGS (" + keyword + b")")
        flags = [token for tokens in untagged if tokens[1:2] == [b"FETCH"] for token in tokens[2][1]]
        assert status != b"OK" or keyword in flags, (keyword, untagged)
        assert re.match(rb"[^\0-\x20\x7f-\xff(){%*\"\\]+$", keyword) or status != b"OK", keyword
        client.good(b"FETCH 1 FLAGS")
    client.close()


def texts(demo):
    """What we say of a bad command is one line, and the client's own bytes do not get out of it."""
    for port, user in ((demo.imap, None), (demo.imap, demo.user)):
        client = Strict(port, user, demo.password)
        for command in (b"FROBNICATE", b"\x01\x02", b"\xff\xfe", b"a\rb", b"SELECT", b"LOGIN", b"LOGIN \"", b"FETCH \"\\", b"X{3", b"NOOP \x7f", b"CREATE )",
                        b"AUTHENTICATE \"", b"AUTHENTICATE A\rB", b"AUTHENTICATE " + b"M" * 300, b"ENABLE \r", b"STATUS INBOX (\x1b)"):
            status, _, untagged = client.command(command)
            assert status in (b"NO", b"BAD") and not untagged, (command, status, untagged)
            if client.number % 6 == 0:
                client.close()  # before too many in a row end it
                client = Strict(port, user, demo.password)
        client.close()
    for tag in (b"*", b"+", b"a+b", b"a\"b", b"a{1}", b"a\\b", b"\xff", b"(", b"a" * 200):
        client = Strict(demo.imap)
        client.sock.sendall(tag + b" NOOP\r\n")
        got, tokens = client.response()
        assert got == b"*" and tokens[0] in (b"BAD", b"BYE"), (tag, got, tokens)
        client.close()


def ids_and_names_in_the_log(demo):
    forged = b"x\n2026-01-01T00:00:00.000Z info event=login account=forged@example.org"
    client = Strict(demo.imap)
    for value in (forged, forged.replace(b"\n", b"\r\n"), b'a" event=login "', b"\0\x01\x1b[2J", b"a\\", b"\xff" * 50):
        client.command(b'ID ("name"', value + b"")  # the list stays open: refused
        client.command(b"ID (" + b'"name" {%d+}\r\n' % len(value) + value + b")")
        status, _, untagged = client.command(b"LOGIN", value, value)
        assert status in (b"NO", b"BAD"), (value, status)
        client.close()
        client = Strict(demo.imap)
    client.close()
    with socket.create_connection(("127.0.0.1", demo.pop3), 20) as sock:
        file = sock.makefile("rb")
        file.readline()
        for line in (b'USER a" event=login x="', b"PASS b", b"USER " + b"\x1b" * 20, b"PASS x", b"USER \xff\xfe", b"PASS y"):
            sock.sendall(line + b"\r\n")
            assert file.readline()[:4] in (b"+OK ", b"-ERR")
    lmtp = Lmtp(demo.lmtp)
    for command in (b'MAIL FROM:<a" event=x@b>', b"MAIL FROM:<a\x1b@b>", b'VRFY " event=login', b"LHLO a\" event=x"):
        lmtp.command(command)
    lmtp.close()
    for line in demo.log().splitlines():
        assert re.match(LOG_LINE, line), line
    assert not re.search(r"(?m)^\S+ [a-z]+ event=login account=forged", demo.log())


# ---- Messages in messages ----

def lmtp_smuggling(demo):
    """RFC 5321 4.1.1.4: only CRLF . CRLF ends a message. Anything laxer lets a message carry another with a sender of its choice."""
    ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\x00.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n"]
    client = Strict(demo.imap, demo.user, demo.password)
    for end in ends:
        client.good(b"SELECT INBOX")
        client.good(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.good(b"EXPUNGE")
        lmtp = Lmtp(demo.lmtp)
        lmtp.command(b"MAIL FROM:<a@example.org>")
        lmtp.command(b"RCPT TO:<" + demo.user.encode() + b">")
        assert lmtp.command(b"DATA")[0] == 354
        inner = b"MAIL FROM:<boss@example.org>\r\nRCPT TO:<" + demo.user.encode() + b">\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
        lmtp.sock.sendall(b"Subject: outer\r\n\r\nx" + end + inner + b"\r\n.\r\n")
        assert lmtp.reply()[0] in (250, 550, 554), end
        assert lmtp.command(b"NOOP")[0] == 250, end
        lmtp.close()
        untagged = client.good(b"NOOP") and client.good(b"FETCH 1:* ENVELOPE")
        subjects = [tokens[2][1][1] for tokens in untagged if tokens[1] == b"FETCH"]
        assert subjects in ([("s", b"outer")], []), (end, subjects)
    client.close()


def lmtp_trace(demo):
    """What a client of LMTP says of itself becomes a field of the message; it cannot become two."""
    client = Strict(demo.imap, demo.user, demo.password)
    for name, sender in ((b"a\rX-Evil: 1", b"a@b.example"), (b"x", b"a\rX-Evil: 1@b.example"), (b"a\x0bX-Evil: 1", b"b@c.example"), (b"x\tX-Evil: 1", b"\"a\\\r b\"@c"),
                         (b"(x;\"y", b"\"q)(;\\\" \"@b.example"), (b"[1.2.3.4]", b"a@[1.2.3.4]")):
        lmtp = Lmtp(demo.lmtp)
        lmtp.command(b"LHLO " + name)
        lmtp.command(b"RSET")
        codes = lmtp.send([demo.user], b"Subject: t\r\n\r\nx\r\n", sender)
        assert codes[0] in (250, 500, 501, 503, 550, 553), codes
        lmtp.close()
    client.good(b"SELECT INBOX")
    for tokens in client.good(b"FETCH 1:* BODY.PEEK[HEADER]"):
        header = tokens[2][1][1]
        assert b"X-Evil" not in re.sub(rb"\r\n[ \t]", b" ", header).replace(b"Received: ", b"") or not re.search(rb"(^|[\r\n])X-Evil", header), header
        assert not re.search(rb"(^|[\r\n\x0b])X-Evil", header) and b"\r" not in header.replace(b"\r\n", b""), header
    client.close()


def pop3_dots(demo):
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n+OK injected\r\n-ERR injected\r\n.\r\r\n"
    client = Strict(demo.imap, demo.user, demo.password)
    client.good(b"SELECT INBOX")
    client.good(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.good(b"EXPUNGE")
    assert client.command(b"APPEND INBOX", body)[0] == b"OK"
    client.close()
    with socket.create_connection(("127.0.0.1", demo.pop3), 20) as sock:
        file = sock.makefile("rb")
        file.readline()
        sock.sendall(f"USER {demo.user}\r\nPASS {demo.password}\r\nRETR 1\r\nTOP 1 100\r\nNOOP\r\n".encode())
        assert [file.readline()[:3] for _ in range(2)] == [b"+OK", b"+OK"]
        for _ in range(2):
            assert file.readline().startswith(b"+OK")
            lines = []
            while (line := file.readline()) != b".\r\n":
                lines.append(line[1:] if line.startswith(b".") else line)
            assert b"".join(lines) == body
        assert file.readline().startswith(b"+OK")
        sock.sendall(b"QUIT\r\n")


def main(program):
    tap = Tap()
    with Demo(program) as demo:
        plain = Strict(demo.imap, demo.user, demo.password)
        wide = Strict(demo.imap, demo.user, demo.password, utf8=True)
        tap.run("names that can be no mailbox's are refused everywhere", never, plain, NEVER + NEVER_UTF7)
        tap.run("the same with UTF-8", never, wide, NEVER + NEVER_UTF8)
        tap.run("odd names are names, not paths and not syntax", maybe, plain, MAYBE)
        tap.run("the same with UTF-8", maybe, wide, [name for name in MAYBE if b"&" not in name] + ["\u00e4/\u2026".encode(), "\U0001f4e7".encode()])
        plain.close()
        wide.close()
        tap.run("headers stay in their strings", evil_headers, demo, False)
        tap.run("the same with UTF-8", evil_headers, demo, True)
        tap.run("keywords stay keywords", keywords, demo)
        tap.run("texts of errors are one line", texts, demo)
        tap.run("IDs and user names forge no line of the log", ids_and_names_in_the_log, demo)
        tap.run("LMTP: no message is smuggled in another", lmtp_smuggling, demo)
        tap.run("LMTP: trace fields cannot be broken out of", lmtp_trace, demo)
        tap.run("POP3: dots at the start of lines end nothing", pop3_dots, demo)
        tap.run("no name became a path", no_paths, demo)
    tap.done()


main(sys.argv[1])
