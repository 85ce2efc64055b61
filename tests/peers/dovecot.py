"""Debian's Dovecot on loopback, from where tools/unpack-peer unpacked it: for tests and measurements that hold Penfold against it.

    with dovecot.start(unpacked, state) as peer:
        peer.ports["imap"], peer.maildir("user")

`extra` is configuration behind the one here, which it overrides; {state}, {user} and {ports[imap]} in it are filled in, braces doubled.

Runs as whoever calls; root gives the work to nobody. Every user name is let in with PASSWORD. Mail lies in Maildirs that
may be filled before or while it runs; fill_maildir() does so with UIDs 1, 2, ... in the order given.
"""
import contextlib
import glob
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PASSWORD = "peer"
MODULES = b"/usr/lib/dovecot/modules"  # built into libdovecot
PACKAGES = {"imap": "dovecot-imapd", "pop3": "dovecot-pop3d", "lmtp": "dovecot-lmtpd"}

CONFIG = """
base_dir = {state}/run
state_dir = {state}/lib
instance_name = {state}
libexec_dir = {root}/usr/lib/dovecot
mail_plugin_dir = {root}/usr/lib/dovecot/modules
login_plugin_dir = {root}/usr/lib/dovecot/modules/login
import_environment = LD_LIBRARY_PATH
listen = 127.0.0.1
protocols = {protocols}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
log_path = {state}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{state}/mail/%u
mail_max_userip_connections = 0
imap_max_line_length = 4 M
mail_fsync = never
maildir_broken_filename_sizes = yes
default_vsz_limit = 0
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={state}/home/%u
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

LISTENER = """
service {name}-login {{
  chroot =
  inet_listener {name} {{
    port = {port}
  }}
  inet_listener {name}s {{
    port = 0
  }}
}}
"""

LMTP_LISTENER = """
service lmtp {{
  user = {user}
  inet_listener lmtp {{
    port = {port}
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unpack(tree, unpacked, protocols=("imap",)):
    """Fetches what is missing; raises CalledProcessError where that is impossible."""
    packages = ["dovecot-core"] + [PACKAGES[name] for name in protocols]
    subprocess.run([os.path.join(tree, "tools/unpack-peer"), unpacked] + packages, check=True)


def _reachable(path):
    """Whether others may look into it: root's own folders are closed to nobody."""
    path = os.path.realpath(path)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


class Peer:
    def __init__(self, unpacked, state, protocols, extra=""):
        self.root, self.state, self.extra = os.path.realpath(unpacked), os.path.realpath(state), extra
        self.ports = {name: free_port() for name in protocols}
        if os.getuid() == 0:
            self.user, self.group = "nobody", "nogroup"
        else:
            self.user, self.group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        for name in ("run", "lib", "mail", "home"):
            os.makedirs(os.path.join(self.state, name), exist_ok=True)
        self._own(os.path.join(self.state, "mail"))
        self._own(os.path.join(self.state, "home"))
        if os.getuid() == 0 and not _reachable(self.root):
            shutil.copytree(os.path.join(self.root, "usr"), os.path.join(self.state, "usr"), symlinks=True)
            self.root = self.state
        self.process, self.link = None, None

    def _own(self, path):
        if os.getuid() == 0:
            shutil.chown(path, self.user, self.group)

    def maildir(self, user):
        path = os.path.join(self.state, "mail", user)
        for name in ("", "cur", "new", "tmp"):
            os.makedirs(os.path.join(path, name), exist_ok=True)
            self._own(os.path.join(path, name))
        return path

    def fill_maildir(self, user, messages):
        """Stores the messages (bytes) with UIDs from 1; before the user's first login."""
        path = self.maildir(user)
        names = []
        for number, message in enumerate(messages, 1):
            names.append(f"{1000000000 + number}.M{number}.peer")
            with open(os.path.join(path, "cur", names[-1] + ":2,"), "wb") as file:
                file.write(message)
            self._own(file.name)
        with open(os.path.join(path, "dovecot-uidlist"), "w", encoding="ascii") as file:
            file.write(f"3 V1000000000 N{len(names) + 1} G{1:032x}\n")
            file.writelines(f"{uid} :{name}\n" for uid, name in enumerate(names, 1))
        self._own(file.name)

    def _library(self):
        """A copy of libdovecot that looks for modules where they were unpacked, by a link whose name is short enough."""
        self.link = tempfile.mkdtemp(prefix="p", dir="/tmp")
        os.chmod(self.link, 0o755)
        modules = os.path.join(self.link, "m").encode()
        os.symlink(os.path.join(self.root, "usr/lib/dovecot/modules"), modules)
        with open(os.path.join(self.root, "usr/lib/dovecot/libdovecot.so.0"), "rb") as file:
            library = file.read()
        assert MODULES + b"\0" in library and len(modules) <= len(MODULES)
        with open(os.path.join(self.link, "libdovecot.so.0"), "wb") as file:
            file.write(library.replace(MODULES + b"\0", modules.ljust(len(MODULES) + 1, b"\0")))
        return self.link

    def _config(self):
        text = CONFIG.format(state=self.state, root=self.root, user=self.user, group=self.group, password=PASSWORD,
                             protocols=" ".join(self.ports))
        for name, port in self.ports.items():
            listener = LMTP_LISTENER if name == "lmtp" else LISTENER
            text += listener.format(name=name, port=port, user=self.user)
        text += self.extra.format(state=self.state, user=self.user, ports=self.ports)
        path = os.path.join(self.state, "dovecot.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self):
        config = self._config()
        libraries = [self._library(), os.path.join(self.root, "usr/lib/dovecot"), os.path.join(self.root, "usr/lib/dovecot/modules/old-stats")]
        libraries += [os.path.dirname(path) for path in glob.glob(os.path.join(self.root, "usr/lib/*/libexttextcat*"))]
        libraries += glob.glob(os.path.join(self.root, "usr/lib/*-linux-gnu"))
        env = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries))
        # The way `dovecot` reads its configuration, without the fixed path of doveconf that is built into it.
        command = [os.path.join(self.root, "usr/bin/doveconf"), "-f", "service=master", "-c", config, "-m", "master", "-e",
                   os.path.join(self.root, "usr/sbin/dovecot"), "-F", "-c", config]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        for name, port in self.ports.items():
            self._wait(name, port)

    def _wait(self, name, port):
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    if connection.recv(1):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot's {name} does not come up:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        with contextlib.suppress(OSError), open(os.path.join(self.state, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None
        if self.link:
            shutil.rmtree(self.link)
        self.link = None


@contextlib.contextmanager
def start(unpacked, state, protocols=("imap",), prepare=None, extra=""):
    """`prepare(peer)` may fill Maildirs before it starts. `state` must lie where nobody can reach it, such as below /tmp."""
    peer = Peer(unpacked, state, protocols, extra)
    if prepare:
        prepare(peer)
    try:
        peer.start()
        yield peer
    finally:
        peer.stop()
