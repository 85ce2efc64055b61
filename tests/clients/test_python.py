"""Python's own imaplib, poplib and smtplib.LMTP against a demo, in plain text on loopback, with STARTTLS and with TLS."""
import imaplib
import os
import poplib
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo, insecure_tls
from messages import small
from tap import Tap

tap = Tap()


def deliver(demo):
    with smtplib.LMTP("127.0.0.1", demo.lmtp) as lmtp:
        for number in range(5):
            assert lmtp.sendmail("a@example.org", [demo.user], small(number)) == {}
        try:
            lmtp.sendmail("a@example.org", ["nobody@example.org"], small(9))
            raise AssertionError("an unknown user was taken")
        except smtplib.SMTPRecipientsRefused as refused:
            assert refused.recipients["nobody@example.org"][0] == 550, refused.recipients


def imap_session(imap, demo, login):
    login(imap)
    assert "IMAP4REV1" in imap.capabilities
    status, data = imap.select("INBOX")
    assert (status, data) == ("OK", [b"5"]), data
    status, data = imap.fetch("1:*", "(FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE)")
    assert len(data) == 5 and all(b"ENVELOPE" in line for line in data), data
    assert imap.search(None, "SUBJECT", '"Message 3"')[1] == [b"4"]
    assert imap.store("2", "+FLAGS", r"(\Flagged)")[0] == "OK"
    assert imap.search(None, "FLAGGED")[1] == [b"2"]
    assert imap.copy("2", "Archive")[0] == "OK"
    assert imap.create("Projects/Test")[0] == "OK"
    assert imap.append("Projects/Test", r"(\Seen)", None, small("appended"))[0] == "OK"
    assert imap.status("Projects/Test", "(MESSAGES UNSEEN)")[1] == [b"Projects/Test (MESSAGES 1 UNSEEN 0)"], imap.status("Projects/Test", "(MESSAGES UNSEEN)")
    assert imap.rename("Projects/Test", "Projects/Renamed")[0] == "OK"
    assert any(b"Projects/Renamed" in line for line in imap.list()[1])
    assert imap.delete("Projects/Renamed")[0] == "OK"
    assert imap.delete("Projects")[0] == "OK"
    assert imap.store("2", "-FLAGS", r"(\Flagged)")[0] == "OK"
    assert imap.select("Archive")[0] == "OK"
    assert imap.store("1:*", "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert imap.expunge()[0] == "OK"
    assert imap.close()[0] == "OK"
    assert imap.logout()[0] == "BYE"



def wrong_password(demo):
    imap = imaplib.IMAP4("127.0.0.1", demo.imap)
    try:
        imap.login(demo.user, "wrong")
        raise AssertionError("a wrong password was taken")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    imap.login(demo.user, demo.password)
    imap.logout()


def starttls(demo):
    imap = imaplib.IMAP4("127.0.0.1", demo.imap)
    imap.starttls(insecure_tls())
    return imap


def pop_session(pop, demo, delete):
    pop.user(demo.user)
    pop.pass_(demo.password)
    count, octets = pop.stat()
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    assert count == len(sizes) and octets == sum(sizes)
    uidls = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(uidls)) == count
    assert b"Subject: Message 0" in b"\n".join(pop.top(1, 2)[1])
    assert b"Subject: Message 0" in b"\n".join(pop.retr(1)[1])
    if delete:
        pop.dele(count)
        pop.rset()
        pop.dele(count)
    pop.quit()
    return uidls


def pop_all(demo):
    plain = poplib.POP3("127.0.0.1", demo.pop3)
    plain.capa()
    before = pop_session(plain, demo, False)
    tls = poplib.POP3("127.0.0.1", demo.pop3)
    tls.stls(insecure_tls())
    assert pop_session(tls, demo, True) == before
    assert pop_session(poplib.POP3_SSL("127.0.0.1", demo.pop3s, context=insecure_tls()), demo, False) == before[:-1]


with Demo(sys.argv[1]) as demo:
    login = lambda imap: imap.login(demo.user, demo.password)
    plain_auth = lambda imap: imap.authenticate("PLAIN", lambda _: f"\0{demo.user}\0{demo.password}".encode())
    tap.run("smtplib.LMTP delivers; an unknown user gets 550", deliver, demo)
    tap.run("imaplib, plain on loopback", lambda: imap_session(imaplib.IMAP4("127.0.0.1", demo.imap), demo, login))
    tap.run("imaplib, STARTTLS, AUTHENTICATE PLAIN", lambda: imap_session(starttls(demo), demo, plain_auth))
    tap.run("imaplib, TLS", lambda: imap_session(imaplib.IMAP4_SSL("127.0.0.1", demo.imaps, ssl_context=insecure_tls()), demo, login))
    tap.run("a wrong password is refused, the right one taken after it", wrong_password, demo)
    tap.run("poplib: plain, STLS, TLS; UIDL stays, DELE works", pop_all, demo)
    tap.ok(demo.stop() == 0, "SIGTERM ends it with status 0")
tap.done()
