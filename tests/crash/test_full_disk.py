"""A full disk: deliveries get 452 4.3.1, APPEND gets NO [UNAVAILABLE], nothing acknowledged is lost, deleting works, and service goes on when space is back.

The data directory lies on a small tmpfs of its own, in a mount namespace of this test. Run again by itself inside it.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from messages import small
from tap import Tap
from wire import Imap, Lmtp

MEGABYTES = 420


def inside(program, mount):
    tap = Tap()
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", mount])
    sent = {}
    with Demo(program, directory=os.path.join(mount, "data")) as demo:
        lmtp = Lmtp(demo.lmtp)

        def message(number, size=300000):
            body = small(number, size=size // 2).rstrip(b"\r\n") + b"\r\n" + os.urandom(size // 3).hex().encode() + b"\r\n"
            return body.split(b"Message-ID: ")[1].split(b"\r\n")[0], body

        def fill():
            for number in range(100000):
                key, body = message(number)
                code = lmtp.send([demo.user], body)[0]
                if code == 452:
                    return f"full after {number} messages"
                assert code == 250, code
                sent[key] = body
            raise AssertionError("the disk does not get full")

        def holds_everything():
            imap = Imap(demo.imap, demo.user, demo.password)
            imap.good(b"SELECT INBOX")
            there = set()
            for first in range(1, 100000, 100):
                lines = imap.command(b"UID FETCH %d:%d (BODY.PEEK[])" % (first, first + 99))[2]
                for line in lines:
                    if b"Message-ID: " in line:
                        body = line.split(b"}\r\n", 1)[1][:-1]
                        body = body[body.index(b"From: Ann"):]
                        key = body.split(b"Message-ID: ")[1].split(b"\r\n")[0]
                        assert body == sent[key], key
                        there.add(key)
                if len(there) == len(sent) or (first > 1 and not lines):
                    break
            assert there == set(sent), (len(there), len(sent))
            imap.close()

        def append_refused():
            imap = Imap(demo.imap, demo.user, demo.password)
            status, text, _ = imap.append(b"Drafts", message("draft", 2000000)[1])
            assert status == b"NO" and b"[UNAVAILABLE]" in text, (status, text)
            imap.close()

        def answer_text():
            lmtp.command(b"MAIL FROM:<sender@example.org>")
            lmtp.command(b"RCPT TO:<" + demo.user.encode() + b">")
            lmtp.command(b"DATA")
            code, lines = lmtp.command(message("text", 400000)[1] + b".")
            assert code == 452 and lines[0].startswith(b"452 4.3.1"), lines

        def can_delete():
            imap = Imap(demo.imap, demo.user, demo.password)
            imap.good(b"SELECT INBOX")
            untagged = imap.good(b"UID FETCH 1:5 (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
            imap.good(b"UID STORE 1:5 +FLAGS.SILENT (\\Deleted)")
            imap.good(b"EXPUNGE")
            for line in untagged:
                sent.pop(line.split(b"Message-ID: ")[1].split(b"\r\n")[0])
            imap.close()

        def service_returns():
            subprocess.check_call(["mount", "-o", f"remount,size={MEGABYTES * 2}m", mount])
            end = time.monotonic() + 20
            while time.monotonic() < end:
                key, body = message("after")
                if lmtp.send([demo.user], body) == [250]:
                    sent[key] = body
                    return
                time.sleep(0.1)
            raise AssertionError("still refuses 20 s after space is back")

        def core_is_the_same():
            warnings = [line for line in demo.log().splitlines() if " info " not in line]
            assert demo.ready["pids"][1] == demo.core(), "\n".join(warnings[-20:])

        tap.run("mail goes in until the disk is full, then 452", fill)
        tap.run("the answer is 452 4.3.1", answer_text)
        tap.run("APPEND gets NO [UNAVAILABLE]", append_refused)
        tap.run("everything acknowledged is there", holds_everything)
        tap.run("deleting works on a full disk", can_delete)
        tap.run("core has not ended meanwhile", core_is_the_same)
        tap.run("a start on a full disk works", lambda: (demo.kill(), demo.start()))
        lmtp = Lmtp(demo.lmtp)
        tap.run("and holds everything", holds_everything)
        tap.run("service goes on when space is back", service_returns)
        tap.run("everything is there at the end", holds_everything)
    subprocess.call(["umount", mount])
    tap.done()


def main():
    if len(sys.argv) > 2:
        inside(sys.argv[1], sys.argv[2])
    mount = "/tmp/penfold-full-disk-%d" % os.getpid()
    os.makedirs(mount, exist_ok=True)
    try:
        options = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
        able = subprocess.run(["unshare", *options, "mount", "-t", "tmpfs", "tmpfs", mount], capture_output=True)
        if able.returncode != 0:
            tap = Tap()
            tap.skip("a full disk", "no right to mount a small file system here: " + able.stderr.decode().strip())
            tap.done()
        sys.exit(subprocess.call(["unshare", *options, sys.executable, __file__, sys.argv[1], mount]))
    finally:
        os.rmdir(mount)


main()
