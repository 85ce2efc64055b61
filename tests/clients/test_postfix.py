"""Penfold behind a real Postfix, with the two lines that the README shows.

    test_postfix.py PENFOLD PEERS
"""
import os
import shutil
import smtplib
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "peers")]
from demo import ROOT, Demo
from messages import small
from postfix import Postfix
from tap import Tap
from wire import Imap


def readme_lines(port):
    """What the README tells people to put into main.cf, with our port."""
    with open(os.path.join(ROOT, "README.md")) as file:
        lines = [line.strip() for line in file if line.startswith("    virtual_")]
    assert len(lines) == 2, lines
    return "\n".join(lines).replace("127.0.0.1:24", f"127.0.0.1:{port}")


def count(demo, user, box=b"INBOX"):
    imap = Imap(demo.imap, user, demo.password)
    line = imap.good(b"STATUS " + box + b" (MESSAGES)")[1][0]
    imap.close()
    return int(line.split(b"MESSAGES ")[1].rstrip(b")"))


def send(postfix, recipients, body):
    with smtplib.SMTP("127.0.0.1", postfix.port) as smtp:
        smtp.sendmail("sender@example.net", recipients, body)


def arrives(demo, postfix):
    for number in range(20):
        send(postfix, demo.users[:2], small(number))
    demo.wait_for(lambda: [count(demo, user) for user in demo.users[:2]] == [20, 20])
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT INBOX")
    text = b"".join(imap.good(b"FETCH 1 BODY.PEEK[HEADER]")[1])
    assert b"Return-Path: <sender@example.net>" in text and b"by mx.example.com (Postfix)" in text, text
    imap.close()


def detail(demo, postfix):
    send(postfix, ["user0+archive@example.org"], small("detail"))
    demo.wait_for(lambda: count(demo, demo.user, b"Archive") == 1)


def unknown_bounces(demo, postfix):
    send(postfix, ["nobody@example.org"], small("unknown"))
    demo.wait_for(lambda: "550 5.1.1" in postfix.log())
    assert "status=bounced" in postfix.log()


tap = Tap()
if os.geteuid() != 0:
    tap.skip("behind Postfix", "Postfix's master process must be root")
else:
    directory = tempfile.mkdtemp(prefix="penfold-postfix-")
    try:
        with Demo(sys.argv[1], users=2) as demo, Postfix(sys.argv[2], directory, readme_lines(demo.lmtp)) as postfix:
            tap.run("mail from Postfix arrives for both recipients", arrives, demo, postfix)
            tap.run("user+detail goes to its folder", detail, demo, postfix)
            tap.run("an unknown user bounces with 550 5.1.1", unknown_bounces, demo, postfix)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
tap.done()
