"""A stranger's code inside the processes (hostile.c): what it can do in a gate, in core, and with a gate's channel to core.

    test_hostile.py PENFOLD-HOSTILE
"""
import glob
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from served import PASSWORD, Server
from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = b"\x90\x91\x92\x93 "
VICTIM, ATTACKER, PENDING = "victim@example.org", "attacker@example.org", "pending@example.org"
START, STEP, CANCEL, HANDOVER = 1, 2, 3, 4
INITIAL, TLS, CONFIDENTIAL, UTF8 = 1, 2, 4, 8
NOT_THROUGH = "a hand-over of a login that is not through"
WRONG_DESCRIPTOR = "a hand-over with the wrong descriptor"
MALFORMED = "a malformed message"


def attacks(walls):
    """Names from the tables in C."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "attack_*.c"))):
        with open(path) as file:
            found += re.findall(r'\{"([a-z0-9-]+)", ATTACK_(?:BOTH|%s),' % walls, file.read())
    return found


class Intruder:
    """A client whose bytes wake the code in the gate that took its connection."""

    def __init__(self, server, not_pid=None):
        for _ in range(200):
            self.sock = socket.create_connection(("127.0.0.1", server.imap), 20)
            self.file = self.sock.makefile("rb")
            self.file.readline()
            self.pid = int(self.order(b"pid")[5:] or 0)
            if self.pid and self.pid != not_pid:
                return
            self.sock.close()
            time.sleep(0.05)  # others may be starting again
        raise AssertionError("no other gate takes a connection")

    def order(self, text):
        try:
            self.sock.sendall(MARK + text + b"\n")
            return self.file.readline()
        except ConnectionError:
            return b""

    def attack(self, name, world, other):
        answer = self.order(f"attack {name} {other} {world.port} {world.outside} {world.socket}".encode())
        assert not answer or answer.startswith(name.encode() + b": "), answer
        return int(answer.split()[1]) if answer else None

    def send(self, message, descriptor="none", count=1):
        return self.order(b"send %s %d %s" % (descriptor.encode(), count, message.hex().encode()))

    def rest(self):
        self.sock.settimeout(10)
        try:
            return self.file.read()
        except ConnectionError:
            return b""


class World:
    """What there is outside: a file, a daemon's socket, somebody who would take a connection."""

    def __init__(self, folder):
        self.outside = os.path.join(folder, "outside")
        self.socket = os.path.join(self.outside, "socket")
        os.makedirs(os.path.join(self.outside, "empty"))
        with open(os.path.join(self.outside, "there"), "w") as file:
            file.write("secret")
        os.chmod(os.path.join(self.outside, "there"), 0o600)
        self.daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.daemon.bind(self.socket)
        self.somebody = socket.create_server(("127.0.0.1", 0))
        self.port = self.somebody.getsockname()[1]

    def check(self):
        there = os.path.join(self.outside, "there")
        with open(there) as file:
            assert file.read() == "secret"
        assert os.stat(there).st_mode & 0o777 == 0o600 and os.stat(there).st_nlink == 1
        assert sorted(os.listdir(self.outside)) == ["empty", "socket", "there"]
        for sock in (self.daemon, self.somebody):
            sock.setblocking(False)
        for touched in (lambda: self.daemon.recv(1), self.somebody.accept):
            try:
                touched()
            except BlockingIOError:
                continue
            raise AssertionError("something arrived outside")


# ---- Inside a gate, inside core ----

def inside_a_gate(server, world):
    intruder, died = Intruder(server), 0
    core = server.children("penfold-core")[0]
    for name in attacks("GATE"):
        others = [core, server.process.pid, Intruder(server, not_pid=intruder.pid).pid]
        for other in others if name in PROCESS_ATTACKS else others[:1]:
            result = intruder.attack(name, world, other)
            if result is None:
                server.wait_for(lambda: f"pid={intruder.pid} " in server.log())
                intruder, died = Intruder(server), died + 1
            assert result != 0, f"{name} worked on {other}"
    world.check()
    assert server.children("penfold-core")[0] == core
    server.login(VICTIM).close()
    return f"{len(attacks('GATE'))} attacks, {died} of them ended their gate"


PROCESS_ATTACKS = re.findall(r'\{"([a-z0-9-]+)", ', open(os.path.join(HERE, "attack_processes.c")).read())


def inside_core(server, world):
    died = 0
    for name in attacks("CORE"):
        core = server.wait_for(lambda: server.children("penfold-core"))[0]
        others = server.wait_for(lambda: server.children("penfold-gate"))
        start = server.log_size()
        with socket.create_connection(("127.0.0.1", server.lmtp), 20) as sock:
            sock.makefile("rb").readline()
            sock.sendall(MARK + f"attack {name} {others[0]} {world.port} {world.outside} {world.socket}\r\n".encode())
            said = server.wait_for_log(rf"(?m)^{name}: (-?\d+)$|process=core pid={core} ", start)
        if said.group(1) is None:
            server.wait_for_log("event=serving", start)
            died += 1
        assert said.group(1) != "0", f"{name} worked"
    world.check()
    server.wait_for(lambda: server.login(VICTIM)).close()
    return f"{len(attacks('CORE'))} attacks, {died} of them ended core"


# ---- Lying to core ----

def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def message(kind, number, texts=(), flags=0, small=0):
    return bytes([kind]) + varint(number) + varint(flags) + varint(small) + b"".join(varint(len(text)) + text for text in texts)


def start(number, user=ATTACKER, password=PASSWORD, flags=INITIAL | CONFIDENTIAL, authzid="", mechanism=b"PLAIN", peer=b"127.0.0.1:9", small=0):
    plain = f"{authzid}\0{user}\0{password}".encode()
    return message(START, number, (mechanism, plain, peer, b"127.0.0.1:143", b"", b"", b"", b""), flags, small)


def handover(number, tag=b"x", pipelined=b"y SELECT INBOX\r\n"):
    return message(HANDOVER, number, (tag, pipelined))


class Liar:
    """One gate's worth of lies; the numbers of its exchanges begin where the gate's own never come."""

    def __init__(self, server):
        self.server, self.intruder, self.begin = server, Intruder(server), server.log_size()
        self.core = server.children("penfold-core")

    def login(self, number, **how):
        """Begins a login and waits until core has answered it."""
        assert self.intruder.send(start(number, **how)) == b"sent: 0\n"
        time.sleep(0.6)

    def say(self, *messages, descriptor="none"):
        for one in messages:
            self.intruder.send(one, descriptor)

    def caught(self, why):
        """Core ends the channel, and with it the gate; nobody has been let in; core goes on."""
        self.server.wait_for_log('event=gate-broke-rules why="?' + re.escape(why), self.begin)
        self.server.wait_for_log(rf"process=gate pid={self.intruder.pid} ", self.begin)
        assert b"OK" not in self.intruder.rest()
        self.nobody()

    def nobody(self):
        assert "event=login " not in self.server.log(self.begin), self.server.log(self.begin)
        assert self.server.children("penfold-core") == self.core


A_NUMBER = 1 << 40


def lie_unknown(server):
    liar = Liar(server)
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(NOT_THROUGH)


def lie_wrong_password(server):
    liar = Liar(server)
    liar.login(A_NUMBER, user=VICTIM, password="guess")
    server.wait_for_log("event=login-failed account=" + VICTIM, liar.begin)
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(NOT_THROUGH)


def lie_without_waiting(server):
    liar = Liar(server)
    liar.say(start(A_NUMBER, user=VICTIM, password="guess"))
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(NOT_THROUGH)


def lie_for_another(server):
    liar = Liar(server)
    liar.login(A_NUMBER, authzid=VICTIM)
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(NOT_THROUGH)


def lie_twice(server):
    """The first hand-over is rightful: the attacker's own account. The second one is of the same login."""
    liar = Liar(server)
    liar.login(A_NUMBER)
    second = Intruder(server)
    while second.pid != liar.intruder.pid:
        second = Intruder(server)
    liar.say(handover(A_NUMBER), descriptor="stream")
    server.wait_for_log("event=login account=" + ATTACKER, liar.begin)
    second.send(handover(A_NUMBER), "stream")
    server.wait_for_log(NOT_THROUGH, liar.begin)
    assert second.rest() == b"" and server.log(liar.begin).count("event=login ") == 1


def lie_over_another_gate(server):
    """A login that is through on one gate is nothing on another."""
    first = Liar(server)
    first.login(A_NUMBER)
    second = Intruder(server, not_pid=first.intruder.pid)
    second.send(handover(A_NUMBER), "stream")
    server.wait_for_log(NOT_THROUGH, first.begin)
    assert second.rest() == b""
    first.nobody()
    first.say(b"\0")
    first.caught(MALFORMED)


def lie_old_number(server):
    for again in (A_NUMBER, A_NUMBER - 1, 0):
        liar = Liar(server)
        liar.say(start(A_NUMBER), start(again))
        liar.caught("an exchange's number was used before")


def lie_out_of_turn(server):
    liar = Liar(server)
    liar.say(message(STEP, A_NUMBER, (b"",)))
    liar.caught("a step out of turn")
    liar = Liar(server)
    liar.login(A_NUMBER)
    liar.say(message(STEP, A_NUMBER, (b"",)))
    liar.caught("a step out of turn")
    liar = Liar(server)
    liar.say(message(CANCEL, A_NUMBER))
    liar.caught("a cancel before the start")


def lie_cancelled(server):
    liar = Liar(server)
    liar.login(A_NUMBER)
    liar.say(message(CANCEL, A_NUMBER))
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(NOT_THROUGH)


def lie_descriptors(server):
    liar = Liar(server)
    liar.say(start(A_NUMBER), descriptor="stream")
    liar.caught("a descriptor that nobody asked for")
    liar = Liar(server)
    liar.login(A_NUMBER)
    liar.say(handover(A_NUMBER))
    liar.caught(WRONG_DESCRIPTOR)
    liar = Liar(server)
    liar.login(A_NUMBER, flags=INITIAL | TLS | CONFIDENTIAL)
    liar.say(handover(A_NUMBER), descriptor="stream")
    liar.caught(WRONG_DESCRIPTOR)
    liar = Liar(server)
    liar.login(A_NUMBER)
    liar.intruder.send(handover(A_NUMBER), "stream", 0)  # the same one twice
    liar.caught(MALFORMED)


def lie_no_client(server):
    """What is handed over as a client is none: a listening socket, a file, the channel itself."""
    for descriptor in ("listener", "log", "channel", "control"):
        liar = Liar(server)
        liar.login(A_NUMBER)
        liar.say(handover(A_NUMBER), descriptor=descriptor)
        liar.caught(WRONG_DESCRIPTOR)
    server.login(VICTIM).close()


def lie_malformed(server):
    whole = start(A_NUMBER)
    long_text = message(START, A_NUMBER, (b"PLAIN", b"a" * 12289) + (b"",) * 6, INITIAL)
    for bad in (bytes([0]) + whole[1:], bytes([5]) + whole[1:], bytes([65]) + whole[1:], bytes([255]) + whole[1:], whole[:-1], whole + b"\0",
                long_text, b"\1" * 30000, b"\4" + b"\xff" * 20, start(A_NUMBER, flags=INITIAL | UTF8), start(A_NUMBER, flags=1 << 40),
                start(A_NUMBER, small=2), message(HANDOVER, A_NUMBER, (b"t" * 129, b"")), message(CANCEL, A_NUMBER, (b"x",))):
        liar = Liar(server)
        liar.say(bad)
        liar.caught(MALFORMED)


def lie_texts(server):
    for bad in (start(A_NUMBER, mechanism=b"PLAIN\r\n"), start(A_NUMBER, peer=b"1\nevent=login")):
        liar = Liar(server)
        liar.say(bad)
        liar.caught("a text is not printable")
    liar = Liar(server)
    liar.say(start(A_NUMBER, flags=INITIAL | TLS))
    liar.caught("TLS that is not confidential")
    liar = Liar(server)
    liar.login(A_NUMBER)
    liar.say(handover(A_NUMBER, tag=b"x\r\n* OK"), descriptor="stream")
    liar.caught("a text is not printable")


def lie_held_back(server):
    """A hand-over that waited until the account was shut leads nowhere."""
    liar = Liar(server)
    liar.login(A_NUMBER, user=PENDING)
    server.cli("account", "set", PENDING, "--disable")
    liar.say(handover(A_NUMBER), descriptor="stream")
    server.wait_for_log("event=login-refused account=" + PENDING, liar.begin)
    liar.nobody()
    liar.say(b"\0")
    liar.caught(MALFORMED)


def lie_at_random(server):
    rng, core, begin = random.Random(11), server.children("penfold-core"), server.log_size()
    good = [start(A_NUMBER), handover(A_NUMBER), message(STEP, A_NUMBER, (b"abc",)), message(CANCEL, A_NUMBER)]
    for _ in range(24):
        intruder = Intruder(server)
        for i in range(40):
            lie = bytearray(rng.choice(good))
            for _ in range(rng.randrange(3)):
                lie[rng.randrange(len(lie))] = rng.randrange(256)
            intruder.send(bytes(lie), rng.choice(("none", "none", "stream", "listener", "log")))
        intruder.sock.close()
    assert server.children("penfold-core") == core
    assert "event=login account=" + VICTIM not in server.log(begin)


LIES = (("of a login that never was", lie_unknown), ("of a wrong password", lie_wrong_password),
        ("before core has answered", lie_without_waiting), ("for another account", lie_for_another), ("twice", lie_twice),
        ("over another gate", lie_over_another_gate), ("of a login that was cancelled", lie_cancelled),
        ("that waited until the account was shut", lie_held_back), ("of what is no client", lie_no_client))
BAD = (("numbers that were used before", lie_old_number), ("steps out of turn", lie_out_of_turn),
       ("descriptors where none belong", lie_descriptors), ("malformed and oversized messages", lie_malformed),
       ("texts that are none", lie_texts), ("messages at random", lie_at_random))


def run(tap, server, world):
    server.start()
    server.cli("domain", "add", "example.org")
    for user in (VICTIM, ATTACKER, PENDING):
        server.cli("account", "add", user, password=PASSWORD)
    for name, lie in LIES:
        tap.run("no hand-over " + name, lie, server)
    for name, lie in BAD:
        tap.run("core withstands " + name, lie, server)
    tap.run("code in a gate reaches nothing", inside_a_gate, server, world)
    tap.run("code in core reaches nothing but its data", inside_core, server, world)
    tap.ok(server.stop() == 0, "it ends in order")


def main(program):
    tap, folder = Tap(), tempfile.mkdtemp(prefix="penfold-hostile-")
    server = Server(program, folder)
    server.write_config(gates=8, throttle_loopback="no")
    try:
        run(tap, server, World(folder))
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


main(sys.argv[1])
