"""A `penfold demo` for a test: started on a folder of its own, on free loopback ports, and ended in every case."""
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def corpus_dir():
    """The folder of real messages, or None where there is none."""
    path = os.environ.get("PENFOLD_CORPUS") or os.path.join(os.path.dirname(ROOT), "shared", "corpus")
    return path if os.path.isdir(path) else None


def insecure_tls():
    """The demo's certificate is self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def sanitizer_reports(text):
    """The part of what processes wrote to standard error that is a report of a sanitizer; the rest of a long one is cut."""
    found = re.search(r"^.*(Sanitizer:|runtime error:)", text, re.M)
    return text[found.start():found.start() + 20000] if found else ""


class Demo:
    """with Demo(program) as demo: demo.imap, demo.lmtp, ... are ports, demo.user and demo.password the first account."""

    def __init__(self, program, users=1, directory=None, keep=False, wrapper=(), base_port=0, settings=()):
        self.program, self.user_count, self.wrapper, self.base_port = program, users, list(wrapper), base_port
        self.own_directory = directory is None and not keep
        self.directory = directory or tempfile.mkdtemp(prefix="penfold-test-")
        self.settings = settings  # lines of penfold.conf(5)
        self.process = None

    def start(self):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=0")
        self.stderr = open(os.path.join(self.directory + ".stderr"), "ab")
        self.process = subprocess.Popen(
            self.wrapper + [self.program, "demo", "--dir", self.directory, "--users", str(self.user_count),
                            "--base-port", str(self.base_port), *(word for line in self.settings for word in ("--set", line))],
            stdout=subprocess.PIPE, stderr=self.stderr, text=True, env=env, start_new_session=True)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"penfold demo did not start (status {self.process.returncode}): {self.errors()}")
        self.ready = json.loads(line)
        for name in ("imap", "imaps", "pop3", "pop3s", "lmtp", "users", "password", "pids"):
            setattr(self, name, self.ready[name])
        self.user = self.users[0]
        return self

    def errors(self):
        text = ""
        for path in (self.directory + ".stderr", os.path.join(self.directory, "penfold.log")):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    text += file.read()[-6000:]
        return text

    def log(self):
        with open(os.path.join(self.directory, "penfold.log"), errors="replace") as file:
            return file.read()

    def stop(self, patience=30):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("penfold demo did not end on SIGTERM: " + self.errors()) from None
        self.process.stdout.close()
        self.process = None
        return status

    def kill(self):
        """kill -9 of every process, the supervisor first."""
        if self.process is None:
            return
        for pid in [self.process.pid] + self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def children(self):
        found = []
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                found = [int(pid) for pid in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
        return found

    def core(self):
        """Pid of the core process that serves now (it may be another one than at the start)."""
        for pid in self.children():
            try:
                with open(f"/proc/{pid}/comm") as file:
                    if file.read().strip() == "penfold-core":
                        return pid
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
        return None

    def wait_for(self, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = what()
            if result:
                return result
            time.sleep(0.02)
        raise RuntimeError("waited in vain: " + self.errors())

    def __enter__(self):
        return self.start()

    def reports(self):
        """What sanitizers found, of all processes so far, also those that were killed or replaced."""
        with open(self.directory + ".stderr", errors="replace") as file:
            return sanitizer_reports(file.read())

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("# server said: " + self.errors()[-3000:].replace("\n", "\n# "))
        try:
            self.stop()
        finally:
            self.kill()
            self.stderr.close()
            reports = self.reports()
            print("# " + reports.replace("\n", "\n# ") if reports else "", end="", flush=True)
            if self.own_directory:
                shutil.rmtree(self.directory, ignore_errors=True)
                os.unlink(self.directory + ".stderr")
        if reports:
            raise AssertionError("a sanitizer reported something")
        return False
