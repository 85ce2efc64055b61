"""Real clients of Debian against a real demo: curl, mbsync, fetchmail, getmail6, mpop, offlineimap3, neomutt."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
import maildir
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

tap = Tap()


def run(command, home, text=None, expect=0):
    """Runs a client in a home of its own; fails with what it printed."""
    hosts = write(home, "hosts", "127.0.0.1 localhost\n")
    env = {"HOME": home, "PATH": "/usr/bin:/bin:/usr/local/bin", "LANG": "C.UTF-8", "USER": "tester", "TERM": "xterm",
           "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": hosts}
    done = subprocess.run(command, env=env, cwd=home, input=text, capture_output=True, timeout=120)
    output = done.stdout + done.stderr
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{output.decode(errors='replace')[-3000:]}")
    return done.stdout


def write(home, name, text, mode=0o600):
    path = os.path.join(home, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def certificate(demo, home):
    """The demo's certificate, so that clients verify it instead of looking away."""
    pem = run(["openssl", "s_client", "-connect", f"127.0.0.1:{demo.imaps}", "-showcerts"], home, b"", None).decode()
    begin, end = pem.index("-----BEGIN"), pem.index("-----END CERTIFICATE-----")
    return write(home, "demo.pem", pem[begin:end] + "-----END CERTIFICATE-----\n")


def fill(demo, count=6):
    """A fresh account's INBOX with some mail; returns the bodies without trace fields."""
    lmtp, bodies = Lmtp(demo.lmtp), []
    for number in range(count):
        bodies.append(small(number))
        assert lmtp.send([demo.user], bodies[-1]) == [250]
    lmtp.close()
    return bodies


def holds(found, bodies):
    """Every body stands in exactly one of the found messages, line ends aside, and the fields that mbsync and neomutt add."""
    found = [re.sub(rb"(?m)^(X-TUID|Content-Length|Lines): .*\n", b"", m) for m in found]
    for body in bodies:
        unix = body.replace(b"\r\n", b"\n")
        assert sum(unix in m.replace(b"\r\n", b"\n") for m in found) == 1, unix[:120]
    assert len(found) == len(bodies), (len(found), len(bodies))


def with_account(program, test):
    home = tempfile.mkdtemp(prefix="penfold-home-")
    try:
        with Demo(program) as demo:
            return test(demo, home, fill(demo))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def curl(demo, home, bodies):
    user = f"{demo.user}:{demo.password}"
    pem = certificate(demo, home)
    message = write(home, "new.eml", small("by curl").decode())
    listing = run(["curl", "-sS", "--cacert", pem, "--user", user, f"imaps://localhost:{demo.imaps}/", "--resolve", f"localhost:{demo.imaps}:127.0.0.1"], home)
    assert b"INBOX" in listing and b"Sent" in listing, listing
    got = run(["curl", "-sS", "--user", user, f"imap://127.0.0.1:{demo.imap}/INBOX;MAILINDEX=1"], home)
    assert bodies[0] in got, got
    run(["curl", "-sS", "--user", user, "-T", message, f"imap://127.0.0.1:{demo.imap}/Drafts"], home)
    scram = run(["curl", "-sS", "--user", user, "--login-options", "AUTH=PLAIN", f"imap://127.0.0.1:{demo.imap}/INBOX?ALL"], home)
    assert scram.split()[-1] == b"6", scram
    sizes = run(["curl", "-sS", "--user", user, f"pop3://127.0.0.1:{demo.pop3}/"], home)
    assert len(sizes.strip().splitlines()) == 6, sizes
    got = run(["curl", "-sS", "--cacert", pem, "--user", user, f"pop3s://localhost:{demo.pop3s}/2", "--resolve", f"localhost:{demo.pop3s}:127.0.0.1"], home)
    assert bodies[1] in got, got


def mbsync(demo, home, bodies):
    """Two-way: new mail, flags, deletions, folders, in both directions."""
    root = os.path.join(home, "Mail")
    os.makedirs(root)
    write(home, ".mbsyncrc", f"""
IMAPAccount demo
Host localhost
Port {demo.imaps}
User {demo.user}
Pass {demo.password}
SSLType IMAPS
CertificateFile {certificate(demo, home)}

IMAPStore far
Account demo

MaildirStore near
Path {root}/
Inbox {root}/INBOX
SubFolders Verbatim

Channel demo
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Remove Both
SyncState *
""")
    inbox, sync = os.path.join(root, "INBOX"), lambda: run(["mbsync", "-a", "-V"], home)
    imap = Imap(demo.imap, demo.user, demo.password)
    sync()
    holds([m for _, m in maildir.messages(inbox)], bodies)
    assert os.path.isdir(os.path.join(root, "Archive")), "folders come, too"
    # From the server: a flag, a deletion, a new folder with mail in it.
    imap.good(b"SELECT INBOX")
    imap.good(b"STORE 2 +FLAGS (\\Flagged \\Seen)")
    imap.good(b"STORE 3 +FLAGS (\\Deleted)")
    imap.good(b"EXPUNGE")
    imap.good(b"CREATE FromServer")
    assert imap.append(b"FromServer", small("in the new folder"))[0] == b"OK"
    # From the client: a flag, a deletion, a new message, a new folder.
    maildir.set_flags(maildir.file_with(inbox, b"Subject: Message 0"), "RS")
    maildir.set_flags(maildir.file_with(inbox, b"Subject: Message 4"), "T")
    maildir.add(inbox, small("made locally").replace(b"\r\n", b"\n"), "FS")
    maildir.add(os.path.join(root, "FromClient"), small("in a local folder").replace(b"\r\n", b"\n"), "S", "local.2")
    sync()
    flags = {m.split(b"Subject: ")[1].split(b" about")[0]: f for f, m in maildir.messages(inbox)}
    assert flags[b"Message 1"] == "FS" and b"Message 2" not in flags and b"Message 4" not in flags, flags
    assert len(maildir.messages(os.path.join(root, "FromServer"))) == 1
    imap.good(b"SELECT INBOX")
    there = {}
    for line in imap.good(b"FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if b"Subject: " in line:
            there[line.split(b"Subject: ")[1].split(b" about")[0]] = set(line.split(b"FLAGS (")[1].split(b")")[0].split()) - {b"\\Recent"}
    assert there[b"Message 0"] == {b"\\Seen", b"\\Answered"}, there
    assert there[b"Message made locally"] == {b"\\Seen", b"\\Flagged"}, there
    assert set(there) == set(flags), (there, flags)
    assert imap.good(b"STATUS FromClient (MESSAGES)")[1][0].endswith(b"(MESSAGES 1)")
    sync()
    assert {m.split(b"Subject: ")[1].split(b" about")[0]: f for f, m in maildir.messages(inbox)} == flags, "a third run changes nothing"


def fetchmail(demo, home, bodies):
    target = os.path.join(home, "got")
    write(home, "take", f"#!/bin/sh\nmkdir -p {target}\ncat > {target}/$$.eml\n", 0o700)
    config = write(home, ".fetchmailrc", f"""
poll localhost protocol pop3 port {demo.pop3s} uidl
  username "{demo.user}" password "{demo.password}" ssl sslcertck sslcertfile "{certificate(demo, home)}" fetchall no rewrite mda "{home}/take"
""")
    run(["fetchmail", "-f", config, "--nodetach", "--nosyslog", "--pidfile", os.path.join(home, "pid")], home)
    holds([open(os.path.join(target, name), "rb").read() for name in sorted(os.listdir(target))], bodies)
    imap = Imap(demo.imap, demo.user, demo.password)
    assert b"* 0 EXISTS" in imap.good(b"SELECT INBOX")[1], "fetchmail deletes what it fetched"


def getmail(demo, home, bodies):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(home, "inbox", sub))
    user = ""
    if os.geteuid() == 0:  # it does not deliver as root
        user = "user = mail"
        subprocess.check_call(["chown", "-R", "mail:mail", os.path.join(home, "inbox")])
        os.chmod(home, 0o755)
    write(home, ".getmail/getmailrc", f"""
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {demo.pop3s}
username = {demo.user}
password = {demo.password}
ca_certs = {certificate(demo, home)}
[destination]
type = Maildir
path = {home}/inbox/
{user}
[options]
delete = false
read_all = false
verbose = 0
""")
    run(["getmail"], home)
    holds([m for _, m in maildir.messages(os.path.join(home, "inbox"))], bodies)
    assert Lmtp(demo.lmtp).send([demo.user], small("later")) == [250]
    run(["getmail"], home)
    assert len(maildir.messages(os.path.join(home, "inbox"))) == len(bodies) + 1, "UIDL keeps it from fetching twice"


def mpop(demo, home, bodies):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(home, "inbox", sub))
    write(home, ".mpoprc", f"""
account demo
host localhost
port {demo.pop3s}
user {demo.user}
password {demo.password}
auth user
tls on
tls_starttls off
tls_trust_file {certificate(demo, home)}
keep on
delivery maildir {home}/inbox
account default : demo
""")
    run(["mpop", "-q"], home)
    holds([m for _, m in maildir.messages(os.path.join(home, "inbox"))], bodies)
    run(["mpop", "-q", "--auth=scram-sha-1", "--keep=off"], home)
    assert len(maildir.messages(os.path.join(home, "inbox"))) == len(bodies)


def offlineimap(demo, home, bodies):
    root = os.path.join(home, "Mail")
    write(home, ".offlineimaprc", f"""
[general]
accounts = demo
ui = basic
[Account demo]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {root}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {demo.imaps}
remoteuser = {demo.user}
remotepass = {demo.password}
ssl = yes
sslcacertfile = {certificate(demo, home)}
""")
    inbox, sync = os.path.join(root, "INBOX"), lambda: run(["offlineimap", "-o", "-u", "basic"], home)
    sync()
    holds([m.split(b"From: Ann", 1)[0] and b"From: Ann" + m.split(b"From: Ann", 1)[1] for _, m in maildir.messages(inbox)],
          [b"From: Ann" + b.split(b"From: Ann", 1)[1] for b in bodies])
    imap = Imap(demo.imap, demo.user, demo.password)
    imap.good(b"SELECT INBOX")
    imap.good(b"STORE 1 +FLAGS (\\Flagged)")
    maildir.set_flags(maildir.file_with(inbox, b"Subject: Message 3"), "S")
    sync()
    flags = {m.split(b"Subject: ")[1].split(b" about")[0]: f for f, m in maildir.messages(inbox)}
    assert "F" in flags[b"Message 0"], flags
    line = imap.good(b"FETCH 4 (FLAGS)")[1][-1]
    assert b"\\Seen" in line, line


def neomutt(demo, home, bodies):
    out = os.path.join(home, "copied")
    config = write(home, "neomuttrc", f"""
set folder = "imap://127.0.0.1:{demo.imap}/"
set spoolfile = "+INBOX"
set imap_user = "{demo.user}"
set imap_pass = "{demo.password}"
set ssl_force_tls = no
set ssl_starttls = no
set imap_authenticators = "login"
set wait_key = no
set confirmcreate = no
set confirmappend = no
set delete = yes
set quit = yes
set mbox_type = Maildir
set record = ""
unset beep
push "<tag-pattern>~A<enter><tag-prefix><copy-message>{out}<enter><untag-pattern>~A<enter><first-entry><flag-message><last-entry><delete-message><quit>"
""")
    command = f"neomutt -n -F {config} -f '=INBOX'"
    run(["script", "-qec", command, "/dev/null"], home, b"")
    holds([m for _, m in maildir.messages(out)], bodies)
    imap = Imap(demo.imap, demo.user, demo.password)
    untagged = imap.good(b"SELECT INBOX")[1]
    assert b"* %d EXISTS" % (len(bodies) - 1) in untagged, untagged
    assert imap.good(b"SEARCH FLAGGED")[1] == [b"* SEARCH 1"], "the flag set in neomutt"


for name, test in [("curl: IMAP, POP3, TLS, upload", curl), ("mbsync: two-way, new mail, flags, deletions, folders", mbsync),
                   ("fetchmail: POP3 over TLS, deletes", fetchmail), ("getmail6: POP3, keeps, fetches nothing twice", getmail),
                   ("mpop: POP3, USER and SCRAM", mpop), ("offlineimap3: two-way flags", offlineimap),
                   ("neomutt in batch: copies, flags, deletes", neomutt)]:
    tap.run(name, with_account, sys.argv[1], test)
tap.done()
