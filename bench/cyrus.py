"""Debian's Cyrus imapd on loopback, from where tools/unpack-peer unpacked it, set up for speed.

Runs as whoever calls; root gives the work to nobody. Every password is right (the cheapest scheme there is); accounts come into being
with their first login or delivery. Everything that Cyrus syncs by default it syncs here.
"""
import glob
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))
from dovecot import free_port

PACKAGES = ["cyrus-imapd", "cyrus-pop3d"]

IMAPD_CONF = """
configdirectory: {state}/lib
partition-default: {state}/spool
defaultpartition: default
cyrus_user: {user}
cyrus_group: {group}
servername: localhost
admins: cyrus
virtdomains: userid
defaultdomain: example.org
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
autocreate_quota: 0
autocreate_post: yes
duplicatesuppression: no
conversations: no
timeout: 60
popminpoll: 0
maxmessagesize: 0
literalminus: no
tls_server_cert: {state}/certificate.pem
tls_server_key: {state}/key.pem
tls_client_certs: off
tls_session_timeout: 0
idlesocket: {volatile}/idle
lmtpsocket: {volatile}/lmtp
notifysocket: {volatile}/notify
proc_path: {volatile}/proc
mboxname_lockpath: {volatile}/lock
hashimapspool: yes
"""

# -U: a process serves that many connections one after the other before it is replaced.
CYRUS_CONF = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {conf} -r"
  idled cmd="{bin}/idled -C {conf}"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {conf} -U 100000 -T 600" listen="127.0.0.1:{ports[imap]}" proto="tcp4" prefork=16 maxchild=20000
  imaps cmd="{bin}/imapd -s -C {conf} -U 100000 -T 600" listen="127.0.0.1:{ports[imaps]}" proto="tcp4" prefork=16 maxchild=20000
  pop3 cmd="{bin}/pop3d -C {conf} -U 100000 -T 600" listen="127.0.0.1:{ports[pop3]}" proto="tcp4" prefork=4 maxchild=20000
  lmtp cmd="{bin}/lmtpd -a -C {conf} -U 100000 -T 600" listen="127.0.0.1:{ports[lmtp]}" proto="tcp4" prefork=16 maxchild=20000
}}
EVENTS {{
}}
"""


def unpack(tree, unpacked):
    subprocess.run([os.path.join(tree, "tools/unpack-peer"), unpacked] + PACKAGES, check=True)


class Cyrus:
    def __init__(self, unpacked, state, certificate, key):
        self.root, self.state = os.path.realpath(unpacked), os.path.realpath(state)
        self.ports = {name: free_port() for name in ("imap", "imaps", "pop3", "lmtp")}
        if os.getuid() == 0:
            self.user, self.group = "nobody", "nogroup"
        else:
            self.user, self.group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        for name in ("lib/db", "lib/socket", "lib/log", "lib/msg", "lib/ptclient", "lib/user", "lib/quota",
                     "lib/sieve", "lib/md5", "lib/sync", "lib/backup", "spool/stage."):
            os.makedirs(os.path.join(self.state, name), exist_ok=True)
        shutil.copy(certificate, os.path.join(self.state, "certificate.pem"))
        shutil.copy(key, os.path.join(self.state, "key.pem"))
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user}:{self.group}", self.state], check=True)
        self.process, self.volatile = None, None

    def _make_volatile(self):
        """What Debian keeps below /run, in memory: on a disk every login would write to it."""
        self.volatile = tempfile.mkdtemp(prefix="penfold-cyrus-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        for name in ("proc", "lock"):
            os.mkdir(os.path.join(self.volatile, name))
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user}:{self.group}", self.volatile], check=True)

    def _write(self, name, text):
        path = os.path.join(self.state, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self):
        self._make_volatile()
        binaries = os.path.join(self.root, "usr/lib/cyrus/bin")
        conf = self._write("imapd.conf", IMAPD_CONF.format(state=self.state, user=self.user, group=self.group,
                                                           volatile=self.volatile))
        master = self._write("cyrus.conf", CYRUS_CONF.format(bin=binaries, conf=conf, ports=self.ports))
        libraries = glob.glob(os.path.join(self.root, "usr/lib/*-linux-gnu")) + [os.path.join(self.root, "usr/lib")]
        env = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries), CYRUS_USER=self.user, CYRUS_GROUP=self.group)
        self.output = open(os.path.join(self.state, "output"), "ab")
        self.process = subprocess.Popen([os.path.join(binaries, "master"), "-C", conf, "-M", master, "-p", os.path.join(self.state, "pid"), "-l", "1024"],
                                        env=env, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, start_new_session=True)
        for name in ("imap", "pop3", "lmtp"):
            self._wait(name)

    def _wait(self, name):
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=5) as connection:
                    if connection.recv(1):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Cyrus's {name} does not come up: see {self.output.name}")
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # master's "finish what is going on"
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self.process:
            self.output.close()
            shutil.rmtree(self.volatile, ignore_errors=True)
        self.process = None
