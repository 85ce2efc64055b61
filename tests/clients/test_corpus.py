"""The whole corpus goes in over LMTP and comes back byte-identical (CRLF) over IMAP and over POP3."""
import imaplib
import os
import poplib
import re
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo, corpus_dir, insecure_tls
from messages import canonical, corpus
from tap import Tap

tap = Tap()
imaplib._MAXLINE = poplib._MAXLINE = 10 << 20


def wire(raw):
    """As LMTP carries it: CRLF, ended by CRLF."""
    text = canonical(raw)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def deliver(demo, messages):
    with smtplib.LMTP("127.0.0.1", demo.lmtp) as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        for name, raw in messages:
            # smtplib would turn bare CR into CRLF: the transaction by hand, dots stuffed.
            for line in (b"MAIL FROM:<sender@example.org> BODY=8BITMIME", b"RCPT TO:<" + demo.user.encode() + b">", b"DATA"):
                lmtp.send(line + b"\r\n")
                code, text = lmtp.getreply()
                assert code in (250, 354), (name, code, text)
            body = wire(raw)
            stuffed = (b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..")
            lmtp.send(stuffed + b".\r\n")
            code, text = lmtp.getreply()
            assert code == 250, (name, code, text)


TRACE = re.compile(rb"Return-Path: [^\r\n]*\r\nDelivered-To: [^\r\n]*\r\nReceived: from .*?;\r\n\t[^\r\n]*\r\n", re.S)


def strip_trace(body):
    """Without what delivery put in front. The message may begin with white space, so folds do not tell where that ends."""
    match = TRACE.match(body)
    if not match:
        raise AssertionError(f"no trace fields in front: {body[:300]!r}")
    return body[match.end():]


def fetched(demo, uids_expected):
    imap = imaplib.IMAP4_SSL("127.0.0.1", demo.imaps, ssl_context=insecure_tls())
    imap.login(demo.user, demo.password)
    status, count = imap.select("INBOX")
    assert int(count[0]) == uids_expected, (count, uids_expected)
    for first in range(1, uids_expected + 1, 50):
        status, data = imap.fetch(f"{first}:{min(first + 49, uids_expected)}", "(RFC822.SIZE BODY.PEEK[])")
        assert status == "OK", data
        for item in data:
            if isinstance(item, tuple):
                size = int(item[0].split(b"RFC822.SIZE ")[1].split(b" ")[0].rstrip(b")"))
                assert size == len(item[1]), (item[0], len(item[1]))
                yield item[1]
    imap.logout()


def retrieved(demo, expected):
    pop = poplib.POP3_SSL("127.0.0.1", demo.pop3s, context=insecure_tls())
    pop.user(demo.user)
    pop.pass_(demo.password)
    assert pop.stat()[0] == expected, (pop.stat(), expected)
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    for number in range(1, expected + 1):
        pop._putcmd(f"RETR {number}")
        pop._getresp()
        body = b""
        lines = []
        while True:
            line = pop.file.readline(10 << 20)
            if line == b".\r\n" and (not lines or lines[-1].endswith(b"\r\n")):
                break
            lines.append(line[1:] if line.startswith(b".") and (not lines or lines[-1].endswith(b"\r\n")) else line)
        body = b"".join(lines)
        assert len(body) == sizes[number - 1], (number, len(body), sizes[number - 1])
        yield body
    pop.quit()


def compare(messages, bodies, how):
    wrong = [name for (name, raw), body in zip(messages, bodies, strict=True) if strip_trace(body) != wire(raw)]
    tap.ok(not wrong, f"{len(messages)} messages come back over {how} as they went in", "\n".join(wrong[:20]))


if corpus_dir() is None:
    tap.skip("corpus round trip", "the corpus folder is not here (PENFOLD_CORPUS names it)")
else:
    everything = list(corpus())
    with Demo(sys.argv[1]) as demo:
        tap.run(f"{len(everything)} messages go in over LMTP", deliver, demo, everything)
        tap.run("they come back over IMAP", lambda: compare(everything, fetched(demo, len(everything)), "IMAP"))
        tap.run("they come back over POP3", lambda: compare(everything, retrieved(demo, len(everything)), "POP3"))
tap.done()
