#!/usr/bin/python3
"""Memory per idle IMAP connection, plain and TLS: all processes of the server counted, what they share counted once.

    bench/idle.py PENFOLD [CONNECTIONS]      5,000 unless given

Each client logs in, selects INBOX and idles. Figures: proportional set size (/proc/PID/smaps_rollup) of all processes before and after, divided by the
connections; kernel socket memory is not part of it.
"""
import asyncio
import os
import resource
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "harness"))
from demo import Demo, insecure_tls


def pss_kib(pids):
    total = {}
    for pid in pids:
        with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/smaps_rollup") as file:
            name = comm.read().strip()
            total[name] = total.get(name, 0) + next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total


async def client(demo, tls, index):
    host = f"127.0.0.{1 + index // 10000}"
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.imaps if tls else demo.imap, ssl=tls, local_addr=(host, 0))
    async def until(start):
        while True:
            line = await reader.readline()
            if not line:
                raise ConnectionError("closed by the server")
            if line.startswith(start):
                return line
    await until(b"* OK")
    user = demo.users[index % len(demo.users)]
    writer.write(f'a LOGIN {user} {demo.password}\r\n'.encode())
    assert b" OK" in await until(b"a ")
    writer.write(b"b SELECT INBOX\r\n")
    assert b" OK" in await until(b"b ")
    writer.write(b"c IDLE\r\n")
    await until(b"+")
    return reader, writer


async def many(demo, tls, count):
    clients = []
    for first in range(0, count, 100):
        clients += await asyncio.gather(*(client(demo, tls, i) for i in range(first, min(first + 100, count))))
    return clients


def measure(program, kind, count):
    with Demo(program, users=min(count, 1000)) as demo:
        tls = insecure_tls() if kind == "TLS" else None
        loop = asyncio.new_event_loop()
        # A first few connections pay for what is there once: code, tables, the allocator's arenas.
        warm = loop.run_until_complete(many(demo, tls, 50))
        pids = [demo.process.pid] + demo.children()
        before = pss_kib(pids)
        clients = loop.run_until_complete(many(demo, tls, count))
        loop.run_until_complete(asyncio.sleep(2))
        after = pss_kib(pids)
        each = {name: (after[name] - before.get(name, 0)) / count for name in after}
        print(f"{kind:5} {count} idle connections: {sum(each.values()):.1f} KiB each  ("
              + ", ".join(f"{name} {value:.1f}" for name, value in sorted(each.items())) + ")", flush=True)
        for _, writer in clients + warm:
            writer.close()
        loop.close()


if len(sys.argv) < 2:
    sys.exit(__doc__)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for kind in ("plain", "TLS"):
    measure(sys.argv[1], kind, int(sys.argv[2]) if len(sys.argv) > 2 else 5000)
