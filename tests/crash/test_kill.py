"""kill -9 of core, gate or supervisor under mixed load of real clients, again and again. After each: what was acknowledged is there once, byte for
byte, nothing is half done, and the killed process is replaced - or, when it was the supervisor, everything ends and can be started again at once.

    test_kill.py PENFOLD [ROUNDS [SEED]]     or PENFOLD_KILL_ROUNDS=...; 50 rounds unless said otherwise
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import Demo
from load import Deliverer, ImapAccount, PopAccount, ProgramsAccount
from tap import Tap
from wire import Imap

ROUNDS = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("PENFOLD_KILL_ROUNDS", 50))
SEED = int(sys.argv[3] if len(sys.argv) > 3 else random.randrange(1 << 32))
VICTIMS = ("core", "gate", "core", "supervisor")
PORTS, USERS, DELIVERERS, END_S = 5, 4, 2, 10


def free_base_port(rng):
    """The first of some ports in a row: the demo must come back on those it had."""
    for _ in range(200):
        base = rng.randrange(20000, 30000)
        try:
            for port in range(base, base + PORTS):
                with socket.socket() as sock:
                    sock.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    raise RuntimeError("no free ports in a row")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gates(demo):
    return [pid for pid in demo.children() if pid != demo.core()]


def serves(demo):
    try:
        Imap(demo.imap, demo.user, demo.password).close()
        return True
    except (OSError, PermissionError):
        return False


def kill_core(demo, rng):
    core, others = demo.wait_for(demo.core), set(gates(demo))
    os.kill(core, signal.SIGKILL)
    demo.wait_for(lambda: demo.core() not in (None, core))
    assert not others & set(demo.children()), "gates of a core that is gone stay"


def kill_gate(demo, rng):
    """Takes nobody's plain connection with it: those are core's."""
    core, before = demo.wait_for(demo.core), gates(demo)
    session = Imap(demo.imap, demo.user, demo.password)
    victim = rng.choice(before)
    os.kill(victim, signal.SIGKILL)
    demo.wait_for(lambda: victim not in demo.children() and len(gates(demo)) == len(before))
    session.good(b"NOOP")
    session.close()
    assert demo.core() == core, "core ended with a gate"


def kill_supervisor(demo, rng):
    """All end, and leave ports and data directory to the next, which comes at once."""
    everybody = [demo.process.pid] + demo.children()
    os.kill(demo.process.pid, signal.SIGKILL)
    demo.process.wait()
    demo.process.stdout.close()
    demo.process = None
    end = time.monotonic() + END_S
    while any(map(alive, everybody)):
        assert time.monotonic() < end, ("orphans", [pid for pid in everybody if alive(pid)])
        time.sleep(0.01)
    demo.stderr.close()
    demo.start()


def in_threads(functions):
    """Runs all at once; the first thing that went wrong goes on in the caller."""
    wrong = []

    def guard(function):
        try:
            function()
        except BaseException as error:
            wrong.append(error)
    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    return threads, wrong


def joined(threads, wrong):
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def one_round(demo, workers, accounts, rng, victim):
    over = threading.Event()
    running = in_threads([lambda w=w: w.work(over) for w in workers])
    try:
        time.sleep(rng.uniform(0.05, 0.4))
        {"core": kill_core, "gate": kill_gate, "supervisor": kill_supervisor}[victim](demo, rng)
        demo.wait_for(lambda: serves(demo))
    finally:
        over.set()
        joined(*running)
    joined(*in_threads([account.check for account in accounts]))


def rounds(demo, workers, accounts, rng, counts):
    for number in range(ROUNDS):
        victim = VICTIMS[number % len(VICTIMS)]
        try:
            one_round(demo, workers, accounts, rng, victim)
        except Exception as error:
            raise AssertionError(f"round {number}, kill -9 of {victim}, seed {SEED}") from error
        counts[victim] = counts.get(victim, 0) + 1
    return ", ".join(f"{victim} {count} times" for victim, count in counts.items())


def all_again(demo, accounts):
    """Every byte of everything, and what mbsync made of it."""
    programs = accounts[-1]
    programs.synchronise()
    for account in accounts:
        account.check(everything=True)
    local = programs.local_keys()
    assert sorted(set(local)) == sorted(local), "twice in the Maildir"
    assert set(local) == set(programs.arrivals[0].seen.values()), "the Maildir and INBOX do not hold the same"


def check(demo):
    done = subprocess.run([sys.argv[1], "check", "-c", os.path.join(demo.directory, "penfold.conf")], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 1 and "is sound" in lines[0], (done.returncode, done.stdout, done.stderr)
    return lines[0]


def run(tap, demo, home):
    rng = random.Random(SEED)
    accounts = [ImapAccount(demo, 0, random.Random(rng.random()), False), ImapAccount(demo, 1, random.Random(rng.random()), True),
                PopAccount(demo, 2, random.Random(rng.random())), ProgramsAccount(demo, 3, random.Random(rng.random()), home)]
    deliverers = [Deliverer(demo, accounts, random.Random(rng.random()), i) for i in range(DELIVERERS)]
    for account in accounts:
        account.prepare()
    counts = {}
    tap.run(f"{ROUNDS} times kill -9 under load: what was acknowledged is there, and nothing half", rounds, demo, accounts + deliverers, accounts, rng, counts)
    tap.run("at the end everything is there, byte for byte, once, also in the Maildir that mbsync keeps", all_again, demo, accounts)
    names = ("IMAP", "IMAP with TLS", "POP3", "curl and mbsync", "LMTP", "LMTP")
    done = ", ".join(f"{name} {w.done} done, {w.broken} broken off" for name, w in zip(names, accounts + deliverers))
    tap.ok(sum(w.done for w in accounts + deliverers) > 20 * ROUNDS and all(w.done > ROUNDS / 5 for w in accounts + deliverers),
           f"enough was done: {done}")
    tap.ok(all(w.broken for w in accounts + deliverers), "the load met the kills")
    tap.run("kill -9 of everything, and a start on the same folder", lambda: (demo.kill(), demo.stderr.close(), demo.start()))
    tap.run("holds the same", all_again, demo, accounts)
    tap.ok(demo.stop() == 0, "it ends in order")
    tap.run("a check finds nothing", check, demo)


tap = Tap()
home = tempfile.mkdtemp(prefix="penfold-home-")
try:
    with Demo(sys.argv[1], users=USERS, base_port=free_base_port(random.Random())) as demo:
        run(tap, demo, home)
finally:
    shutil.rmtree(home, ignore_errors=True)
tap.done()
