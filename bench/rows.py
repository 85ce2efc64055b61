"""What is measured: row by row. Users are numbered so that no two rows share a mailbox.

A row says what must be there first (steps, run once for a server and remembered), what is run, and which figure counts:
"rate" (operations a second, more is better) or a time from the generator's result in milliseconds (less is better).

PENFOLD_BENCH_SHARE=50 in the environment: with a fiftieth of the mail, to see that everything runs. Figures mean nothing then.
"""
import os

SHARE = int(os.environ.get("PENFOLD_BENCH_SHARE", "1"))
LOGIN, APPEND, BIG, MIXED, MIX, POP3, PIPE, IDLE = 1000, 2000, 2100, 2102, 2200, 2300, 2310, 2400
BIG_MESSAGES, MIXED_MESSAGES, MIX_MESSAGES, POP3_MESSAGES = (max(1, count // SHARE) for count in (20000, 2000, 200, 2500))
LOGIN_MESSAGES, DISK_MESSAGES, LOG_MESSAGES, PIPE_MESSAGES = (max(1, count // SHARE) for count in (5000, 20000, 16000, 10000))


class Row:
    def __init__(self, name, title, target, command, figure="rate", fill=(), each=(), unit=None, share=1, **more):
        self.name, self.title, self.target, self.command, self.figure = name, title, target, command.split(), figure
        self.fill, self.each = fill, each  # names of STEPS: once for a server, before each round
        self.unit = unit or ("/s" if figure == "rate" else "ms")
        self.share = share                 # of the seconds given to a row
        self.limit = more.get("limit")     # name of the limit beside it: as many a second, as many bytes, or for a time as long as one takes; "a+b": one of each, one after the other
        self.settings = more.get("settings", ())  # Penfold is started anew with them for this row
        self.single = more.get("single")   # measured in a way of its own: bench/run has a function of that name
        # Whole: it ends by itself, however long that takes. The others end with the seconds given, or their --count before that.
        self.whole = more.get("whole", False)


def small_box(user, mailbox="INBOX"):
    return f"fill --first-user {user} --kind small --mailbox {mailbox} --messages {BIG_MESSAGES} --batch 500 --timeout 120"


STEPS = {
    "users": f"count --clients 8 --users {LOGIN} --timeout 120",
    "logins": f"lmtp --clients 8 --first-user {LOGIN} --users 1000 --count {LOGIN_MESSAGES} --kind small --timeout 120",
    "big": small_box(BIG),
    "work": f"copy --first-user {BIG} --messages {BIG_MESSAGES} --mailbox Work --timeout 120",
    "mixed": f"fill --first-user {MIXED} --messages {MIXED_MESSAGES} --batch 200 --timeout 120",
    "mix": f"fill --clients 32 --first-user {MIX} --users 32 --messages {MIX_MESSAGES} --batch 50 --timeout 120",
    "mix-other": f"fill --clients 32 --first-user {MIX} --users 32 --messages 1 --mailbox Other --timeout 120",
    "append": f"count --clients 8 --first-user {APPEND} --users 8 --timeout 120",
    "idle": f"lmtp --first-user {IDLE} --count 1 --kind small --timeout 120",
    "pop3": f"fill --clients 4 --first-user {POP3} --users 4 --messages {POP3_MESSAGES} --batch 100 --timeout 120",
    "pop3-pipe": f"fill --clients 4 --first-user {PIPE} --users 4 --messages {PIPE_MESSAGES} --batch 100 --timeout 120",
    "fresh": small_box(BIG, "First{serial}"),
    "back": f"copy --first-user {BIG} --messages {BIG_MESSAGES} --mailbox Back{{serial}} --timeout 120",
}

ON_BIG = f"--first-user {BIG} --kind small --messages {BIG_MESSAGES} --timeout 120"
ON_WORK = f"--first-user {BIG} --kind small --messages {BIG_MESSAGES} --mailbox Work --timeout 120"

ROWS = [
    Row("login", "login, SELECT, logout, 16 clients, plain", ("times", 5),
        f"login --clients 16 --first-user {LOGIN} --users 1000", fill=["logins"], limit="logins"),
    Row("login-tls", "the same with TLS handshakes", ("times", 2),
        f"login --tls --clients 16 --first-user {LOGIN} --users 1000", fill=["logins"], limit="tls"),
    Row("lmtp-8", "LMTP delivery, mixed sizes, 8 connections", ("times", 6), "lmtp --clients 8 --users 1000", fill=["users"], limit="taken-8"),
    Row("lmtp-64", "the same, 64 connections", ("times", 10), "lmtp --clients 64 --users 1000", fill=["users"], limit="taken-64"),
    Row("lmtp-small", "LMTP, one connection, small messages", ("times", 4), "lmtp --kind small --users 1000", fill=["users"], limit="taken-small"),
    Row("append", "IMAP APPEND, 8 connections", ("times", 4), f"append --clients 8 --first-user {APPEND} --users 8", fill=["append"],
        limit="taken-append"),
    Row("flags", "FETCH FLAGS, big box, warm", ("times", 3), "fetch-flags " + ON_BIG, fill=["big"], share=0.5, limit="answers-flags"),
    Row("envelope-first", "FETCH ENVELOPE BODYSTRUCTURE, first time ever", ("times", 8),
        f"fetch-envelope {ON_BIG} --mailbox First{{serial}} --warm INBOX --count 1", fill=["big"], each=["fresh"], whole=True, limit="answers-envelope"),
    Row("envelope", "the same again", ("times", 7), "fetch-envelope " + ON_BIG, fill=["big"], share=0.5,
        limit="answers-envelope"),
    Row("header", "FETCH header fields", ("times", 3), "fetch-header " + ON_BIG, fill=["big"], share=0.5, limit="answers-header"),
    Row("bodies", "FETCH whole bodies, mixed sizes", ("times", 1.3),
        f"fetch-body --first-user {MIXED} --messages {MIXED_MESSAGES} --timeout 120", fill=["mixed"], share=0.5, limit="loopback"),
    Row("store", "STORE one at a time", ("times-cyrus", 2), "store " + ON_WORK, fill=["big", "work"], share=0.5, limit="echo+sync"),
    Row("store-unsynced", "the same, flags need no sync", ("times-dovecot", 2), "store " + ON_WORK, fill=["big", "work"], share=0.5, limit="echo",
        settings=["sync_flags = no"]),
    Row("select", "SELECT of the big box", ("below", 0.1), "select " + ON_BIG, figure="p50", fill=["big"], share=0.5, limit="echo"),
    Row("search-subject", "SEARCH SUBJECT, warm", ("below", 5), f"search {ON_BIG} --item SUBJECT --count 32", figure="p50", fill=["big"], limit="echo"),
    Row("search-from", "SEARCH FROM, warm", ("below", 5), f"search {ON_BIG} --item FROM --count 32", figure="p50", fill=["big"], limit="echo"),
    Row("search-body", "SEARCH BODY, substring, warm", ("below", 8), f"search {ON_BIG} --item BODY --count 32", figure="p50", fill=["big"], limit="echo"),
    Row("search-text", "SEARCH TEXT, substring, warm", ("below", 8), f"search {ON_BIG} --item TEXT --count 32", figure="p50", fill=["big"], limit="echo"),
    Row("qresync", "reconnect with QRESYNC, 100 changed, 10 gone", ("below", 1), f"qresync {ON_BIG} --mailbox Back{{serial}} --count 15",
        figure="p50", fill=["big"], each=["back"], limit="echo"),
    Row("idle", "delivery seen by a client in IDLE", ("below", 1), f"idle --first-user {IDLE} --kind small --gap 5", figure="p50", fill=["idle"], limit="echo+sync"),
    Row("mix", "random mix, 32 clients", ("times", 5), f"mix --clients 32 --first-user {MIX} --users 32", fill=["mix", "mix-other"], limit="echo-32"),
    Row("pop3", "POP3 drain, plain", ("times", 3), f"pop3 --clients 4 --first-user {POP3} --users 4 --messages {POP3_MESSAGES}",
        each=["pop3"], whole=True, limit="drained"),
    Row("pop3-pipe", "POP3 drain, pipelined", ("times", 3),
        f"pop3 --pipeline 50 --clients 4 --first-user {PIPE} --users 4 --messages {PIPE_MESSAGES}", each=["pop3-pipe"], whole=True, limit="drained-pipe"),
    Row("idle-memory", "memory per idle IMAP connection, plain", ("below", 10), "hold", unit="KiB", single="idle_memory"),
    Row("idle-memory-tls", "the same, TLS", ("below", 30), "hold --tls", unit="KiB", single="idle_memory"),
    Row("disk", "disk for 20,000 mixed messages", ("share-mdbox", 0.55), "lmtp", unit="MB", single="disk"),
]
BY_NAME = {row.name: row for row in ROWS}
