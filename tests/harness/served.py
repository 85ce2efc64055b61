"""A real `penfold serve` on a configuration of its own, and the command line beside it: for test_serve.py."""
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

from demo import insecure_tls
from wire import Imap

ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=0")
PASSWORD = "open sesame 73"


def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def make_certificate(folder, name, host):
    chain, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.check_call(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
         "/CN=" + host, "-addext", "subjectAltName=DNS:" + host, "-keyout", key, "-out", chain],
        stderr=subprocess.DEVNULL)
    return chain, key


def fingerprint(path):
    with open(path) as file:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


class Server:
    def __init__(self, program, folder, host="127.0.0.1"):
        self.program, self.folder, self.host = program, folder, host
        self.imap, self.imaps, self.pop3, self.lmtp = free_ports(4)
        self.config_path = os.path.join(folder, "penfold.conf")
        self.data = os.path.join(folder, "data")
        self.lmtp_path = os.path.join(folder, "lmtp")
        self.log_path = os.path.join(folder, "log")
        self.process = None
        self.certificates = [make_certificate(folder, "a", "a.example.org"), make_certificate(folder, "b", "b.example.org")]
        self.write_config()

    def write_config(self, **changes):
        keys = {
            "data_dir": self.data, "control_socket": os.path.join(self.folder, "control"), "user": "root", "gates": 1,
            "listen_imap": f"{self.host}:{self.imap}", "listen_imaps": f"{self.host}:{self.imaps}",
            "listen_pop3": f"{self.host}:{self.pop3}", "listen_lmtp": f"127.0.0.1:{self.lmtp}, {self.lmtp_path}", "argon2_memory": "8M",
            "argon2_passes": 1, "throttle_loopback": "yes", "retention": "30d"}
        keys.update(changes)
        with open(self.config_path, "w") as file:
            for key, value in keys.items():
                file.write(f"{key} = {value}\n")
            for chain, key in self.certificates:
                file.write(f"tls_certificate = {chain} {key}\n")

    def start(self, environment=None):
        start = self.log_size()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, "serve", "-c", self.config_path], stderr=log, start_new_session=True,
                                            env=environment or ENVIRONMENT)
        self.wait_for_log("event=serving", start)
        return self

    def log_size(self):
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def log(self, start=0):
        with open(self.log_path, errors="replace") as file:
            file.seek(start)
            return file.read()

    def wait_for(self, what, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = what()
            if result:
                return result
            time.sleep(0.02)
        raise AssertionError("waited in vain; the log: " + self.log()[-3000:])

    def wait_for_log(self, text, start):
        return self.wait_for(lambda: re.search(text, self.log(start)))

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)

    def end(self):
        if self.process and self.process.poll() is None:
            for pid in [self.process.pid] + self.children():
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def children(self, name=None):
        found = []
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            for pid in file.read().split():
                try:
                    with open(f"/proc/{pid}/comm") as comm:
                        if name in (None, comm.read().strip()):
                            found.append(int(pid))
                except (FileNotFoundError, ProcessLookupError):
                    pass
        return found

    def cli(self, *arguments, status=0, password=None):
        """Runs a command; returns its standard output and error, or parsed JSON."""
        if password:
            arguments += ("--password-file", "-")
        done = subprocess.run([self.program, *arguments, "-c", self.config_path], input=password, capture_output=True, text=True,
                              env=ENVIRONMENT, timeout=60)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr

    def connect(self, tls_name=None, source=None, port=None):
        """An IMAP client that has read the greeting; certificate is the one it was shown."""
        sock = socket.create_connection((self.host, port or (self.imaps if tls_name else self.imap)), 30,
                                        source_address=(source, 0) if source else None)
        client = Imap.__new__(Imap)
        if tls_name:
            sock = insecure_tls().wrap_socket(sock, server_hostname=tls_name)
            client.certificate = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()
        client.sock, client.file, client.number = sock, sock.makefile("rb"), 0
        client.greeting = client.line()
        return client

    def login(self, user, password=PASSWORD, **how):
        client = self.connect(**how)
        status, text, _ = client.command(f'LOGIN "{user}" "{password}"'.encode())
        if status != b"OK":
            client.close()
            raise PermissionError(text)
        return client

    def refused(self, user, password, **how):
        try:
            self.login(user, password, **how).close()
        except PermissionError as error:
            return error.args[0]
        raise AssertionError(f"{user} was let in")
