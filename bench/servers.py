"""The servers that are measured, each behind the same few calls:

    server.start(), server.stop()        its data stay in server.state between the two
    server.ports["imap"], ...            imap, imaps, pop3, lmtp
    server.cpu_seconds(), memory_kib()   of all its processes

Settings: ARCHITECTURE of each peer in mind, as somebody who runs it for many users would: no process per connection where that can be
avoided, enough processes, little logging, a cheap password scheme, certificates of the same kind. Mail that is acknowledged is synced by
every one of them. Dovecot does not sync flags (mail_fsync = optimized, its default), Cyrus and Penfold do.
"""
import contextlib
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests", "peers"), os.path.join(ROOT, "tests", "harness")]
import cyrus
import dovecot
from demo import Demo

USERS = 3000
TICK = os.sysconf("SC_CLK_TCK")

DOVECOT_EXTRA = """
mail_location = {location}
mail_fsync = optimized
ssl = yes
ssl_cert = <{{state}}/certificate.pem
ssl_key = <{{state}}/key.pem
info_log_path = /dev/null
mdbox_rotate_size = 16M
maildir_very_dirty_syncs = yes
service imap-login {{{{
  service_count = 0
  client_limit = 19000
  process_min_avail = {processors}
  process_limit = {processors}
  inet_listener imaps {{{{
    port = {imaps}
    ssl = yes
  }}}}
}}}}
service pop3-login {{{{
  service_count = 0
  client_limit = 19000
  process_min_avail = {processors}
  process_limit = {processors}
}}}}
service imap {{{{
  service_count = 0
  process_min_avail = 16
  process_limit = 15000
}}}}
service pop3 {{{{
  service_count = 0
  process_min_avail = 4
  process_limit = 2000
}}}}
service lmtp {{{{
  service_count = 0
  process_min_avail = 16
  process_limit = 1000
}}}}
service auth {{{{
  client_limit = 19000
}}}}
service anvil {{{{
  client_limit = 19000
}}}}
service stats {{{{
  client_limit = 19000
}}}}
"""
DOVECOT_PROTOCOLS = ("imap", "pop3", "lmtp")


def tree(pid):
    """The process and all below it."""
    found = [pid]
    for pid in found:
        for path in glob.glob(f"/proc/{pid}/task/*/children"):
            try:
                with open(path) as file:
                    found += [int(child) for child in file.read().split()]
            except OSError:
                pass
    return found


def cpu_seconds(pids):
    """User and system time, with that of children that ended and were waited for."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += sum(int(field) for field in fields[11:15])
        except OSError:
            pass
    return ticks / TICK


def memory_kib(pids):
    """Proportional set size: what processes share is counted once."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
        except OSError:
            pass
    return total


class Server:
    load_options = ()
    password = "penfold"
    takes_settings, settings = False, ()

    def __init__(self, work, name):
        self.name, self.state = name, os.path.join(work.state, name)
        self.work = work

    def cpu_seconds(self):
        return cpu_seconds(tree(self.pid))

    def memory_kib(self):
        return memory_kib(tree(self.pid))

    def endpoints(self):
        return [word for name, port in self.ports.items() for word in ("--" + name, f"127.0.0.1:{port}")]

    def notes(self):
        """Where it stands what was done to the data (bench/run)."""
        return self.state + ".notes.json"

    def clear(self):
        shutil.rmtree(self.state, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.notes())

    def settle_disk(self):
        """Does now what the server would do by and by for the space that mail takes."""

    def disk_bytes(self):
        out = subprocess.check_output(["du", "-s", "-B1", self.data], text=True)
        return int(out.split()[0])


class Penfold(Server):
    def settle_disk(self):
        """What comes in is packed again when it is a day old."""
        subprocess.run([self.work.penfold, "compact", "-c", os.path.join(self.state, "penfold.conf")], check=True, stdout=subprocess.DEVNULL)

    users = USERS
    takes_settings = True
    ALWAYS = ("log_level = warn",)  # as the peers: nothing is logged of what goes well

    def start(self):
        os.makedirs(self.state, exist_ok=True)
        self.demo = Demo(self.work.penfold, users=self.users, directory=self.state, settings=[*self.ALWAYS, *self.settings])
        self.demo.start()
        self.pid, self.data = self.demo.process.pid, os.path.join(self.state, "data")
        self.ports = {name: self.demo.ready[name] for name in ("imap", "imaps", "pop3", "lmtp")}

    def stop(self):
        self.demo.stop()
        self.demo.stderr.close()


class Dovecot(Server):
    password = dovecot.PASSWORD

    def __init__(self, work, name, location, more=""):
        super().__init__(work, name)
        self.extra = DOVECOT_EXTRA.format(location=location, processors=os.cpu_count(), imaps="{imaps}") + more

    def start(self):
        dovecot.unpack(ROOT, self.work.dovecot, DOVECOT_PROTOCOLS)
        os.makedirs(self.state, exist_ok=True)
        for name in ("certificate.pem", "key.pem"):
            shutil.copy(os.path.join(self.work.dir, name), self.state)
        imaps = dovecot.free_port()
        self.peer = dovecot.Peer(self.work.dovecot, self.state, DOVECOT_PROTOCOLS, self.extra.replace("{imaps}", str(imaps)))
        self.peer.start()
        self.pid, self.data, self.ports = self.peer.process.pid, os.path.join(self.state, "mail"), dict(self.peer.ports, imaps=imaps)

    def stop(self):
        self.peer.stop()


class Cyrus(Server):
    def start(self):
        cyrus.unpack(ROOT, self.work.cyrus)
        os.makedirs(self.state, exist_ok=True)
        self.peer = cyrus.Cyrus(self.work.cyrus, self.state, os.path.join(self.work.dir, "certificate.pem"),
                                os.path.join(self.work.dir, "key.pem"))
        self.peer.start()
        self.pid, self.data, self.ports = self.peer.process.pid, self.state, self.peer.ports

    def stop(self):
        self.peer.stop()


class CyrusQuick(Cyrus):
    """The same server and data; only the client differs: it acknowledges every segment at once, so that Nagle's algorithm never waits."""
    load_options = ("--quick-ack",)

    def __init__(self, work, name):
        super().__init__(work, name)
        self.state = os.path.join(work.state, "cyrus")

    def clear(self):
        """Its data are the other's, which was before it."""


ZSTD = "mail_plugins = $mail_plugins zlib\nplugin {{\n  zlib_save = zstd\n  zlib_save_level = 3\n}}\n"
SERVERS = {
    "penfold": Penfold,
    "mdbox": lambda work, name: Dovecot(work, name, "mdbox:{state}/mail/%u"),
    "maildir": lambda work, name: Dovecot(work, name, "maildir:{state}/mail/%u"),
    "mdbox-zstd": lambda work, name: Dovecot(work, name, "mdbox:{state}/mail/%u", ZSTD),
    "cyrus": Cyrus,
    "cyrus-quickack": CyrusQuick,
}
DEFAULT = ["penfold", "mdbox", "maildir", "cyrus", "cyrus-quickack"]
TITLES = {"penfold": "Penfold", "mdbox": "Dovecot mdbox", "maildir": "Dovecot maildir", "mdbox-zstd": "Dovecot mdbox, zstd",
          "cyrus": "Cyrus", "cyrus-quickack": "Cyrus, quick ACK"}


class Work:
    """Where everything of a run lies."""

    def __init__(self, build, directory=None):
        self.build = os.path.abspath(build)
        self.dir = os.path.abspath(directory or os.path.join(build, "bench-run"))
        self.state = os.path.join(self.dir, "state")
        self.penfold = os.path.join(self.build, "penfold")
        self.load = os.path.join(self.build, "bench/load/bench-load")
        self.engine = os.path.join(self.build, "bench/bench-engine")
        self.dovecot, self.cyrus = os.path.join(self.build, "peers"), os.path.join(self.build, "peers/cyrus")
        os.makedirs(self.state, exist_ok=True)
        if not os.path.exists(os.path.join(self.dir, "certificate.pem")):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "300",
                            "-subj", "/CN=localhost", "-keyout", os.path.join(self.dir, "key.pem"), "-out",
                            os.path.join(self.dir, "certificate.pem")], check=True, stderr=subprocess.DEVNULL)
