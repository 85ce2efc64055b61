"""Debian's Postfix, unpacked and run from a folder, in front of an LMTP port: never installed, on loopback only.

Its master must be root; its mail_owner and setgid_group are users every Debian has.
"""
import os
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUEUES = "active bounce corrupt defer deferred flush hold incoming private maildrop public pid saved trace".split()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Postfix:
    """with Postfix(peers, directory, lines for main.cf) as postfix: postfix.port takes SMTP."""

    def __init__(self, peers, directory, extra):
        self.peers, self.directory, self.extra, self.port = os.path.abspath(peers), directory, extra, free_port()

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def configure(self):
        library = os.path.join(self.peers, "usr/lib/postfix")
        self.env = dict(os.environ, LD_LIBRARY_PATH=library, MAIL_CONFIG=os.path.join(self.directory, "conf"))
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            self.env.pop(name, None)
        with open(os.path.join(self.peers, "usr/share/postfix/master.cf.dist")) as file:
            master = file.read()
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd" if line.startswith("smtp      inet") else line for line in master.split("\n")]
        self.write("conf/master.cf", "\n".join(lines))
        self.write("conf/dynamicmaps.cf", "")
        self.write("conf/main.cf", f"""
compatibility_level = 3.6
queue_directory = {self.directory}/queue
command_directory = {self.peers}/usr/sbin
daemon_directory = {library}/sbin
data_directory = {self.directory}/data
meta_directory = {self.directory}/conf
shlib_directory = {library}
mail_owner = mail
setgid_group = staff
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.com
mydestination =
maillog_file = {self.directory}/log/mail
maillog_file_prefixes = {self.directory}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
{self.extra}
""")
        for name in ["log", "data", "queue"] + ["queue/" + queue for queue in QUEUES]:
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        subprocess.check_call(["chown", "-R", "mail", self.directory + "/queue", self.directory + "/data"])
        subprocess.check_call(["chown", "root", self.directory + "/queue", self.directory + "/queue/pid"])
        for name in ("maildrop", "public"):
            subprocess.check_call(["chgrp", "staff", f"{self.directory}/queue/{name}"])
            os.chmod(f"{self.directory}/queue/{name}", 0o730)
        os.chmod(self.directory, 0o755)

    def log(self):
        with open(os.path.join(self.directory, "log", "mail"), errors="replace") as file:
            return file.read()

    def __enter__(self):
        subprocess.check_call([os.path.join(ROOT, "tools", "unpack-peer"), self.peers, "postfix"])
        self.configure()
        self.master = subprocess.Popen([os.path.join(self.peers, "usr/lib/postfix/sbin/master"), "-c", os.path.join(self.directory, "conf"), "-d"],
                                       env=self.env, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("Postfix did not start: " + self.log()[-2000:])

    def __exit__(self, *_):
        # Its daemons are in the master's process group, which is ours alone.
        os.killpg(self.master.pid, signal.SIGTERM)
        try:
            self.master.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.master.pid, signal.SIGKILL)
            self.master.wait()
        return False
