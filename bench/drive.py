"""What bench/run and bench/growth have in common: running the generator, keeping results, saying what goes on."""
import json
import mmap
import os
import platform
import subprocess
import sys
import time


def log(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def write(path, what):
    """Whole or not at all."""
    with open(path + ".new", "w") as file:
        json.dump(what, file, indent=1)
    os.replace(path + ".new", path)


def load(work, server, words, seconds=None, timeout=900):
    """Runs the generator; returns its result."""
    words = list(words)
    ports = dict(server.ports)
    imap = "imaps" if "--tls" in words else "imap"
    words = [word for word in words if word != "--tls"]
    command = [work.load, words[0], "--" + imap, f"127.0.0.1:{ports[imap]}", "--pop3", f"127.0.0.1:{ports['pop3']}",
               "--lmtp", f"127.0.0.1:{ports['lmtp']}", "--password", server.password, *server.load_options, *words[1:]]
    if seconds:
        command += ["--seconds", str(max(1, round(seconds)))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def settle(server, seconds=60):
    """Until it has nothing more to do about what was filled in: less than a tenth of a processor in each of three quarters of a second. Not longer than told."""
    quiet, before = 0, server.cpu_seconds()
    for _ in range(seconds * 4):
        time.sleep(0.25)
        now = server.cpu_seconds()
        quiet = quiet + 1 if now - before < 0.025 else 0
        before = now
        if quiet == 3:
            return
    log(f"  {server.name}: still busy after {seconds} seconds")


def touch_memory(most):
    """A virtual machine's host gives memory when it is first touched: some 10 us for 4 KiB on machines seen, more than it takes to compress and sync them. Whoever
    writes mail writes new pages of the page cache, and would be measured by how many of them the host happens to have given already."""
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    pages = min(most, available // 4) // mmap.PAGESIZE
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        memory[::mmap.PAGESIZE] = bytes(pages)


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"processors": os.cpu_count(), "model": model, "kernel": platform.release(), "date": time.strftime("%Y-%m-%d")}
