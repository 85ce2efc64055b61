#!/usr/bin/python3
"""The measurements run, from filling a server to the page with figures: with a trifle of mail, so that nothing is measured. test_run.py BUILD run|growth"""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "tests", "harness")]
import rows
from tap import Tap

# One of each kind: a rate, one that is audited, times, one that is filled for each round, one that ends by itself, memory, disk.
ROWS = ["login", "lmtp-8", "search-subject", "qresync", "envelope-first", "pop3-pipe", "idle-memory", "disk"]
LIMITS = {"sync", "tls", "echo", "echo-4", "echo-32", "logins", "drained", "drained-pipe", "answers-flags", "answers-envelope", "answers-header",
          "taken-8", "taken-64", "taken-small", "taken-append", "memcpy", "loopback", "log-1", "log-16", "log-64"}
GROWN = {"messages": ["SELECT", "FETCH of 100", "STORE", "SEARCH SUBJECT", "SEARCH BODY", "POP3 login", "delivery", "fill/s"],
         "accounts": ["IMAP login", "POP3 login", "delivery", "start s", "memory MiB"]}


def run(directory, *words):
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", words[0]), *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, PENFOLD_BENCH_SHARE="10"), timeout=150, cwd=directory)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-3000:]}"
    return done.stdout


def read(directory, name):
    with open(os.path.join(directory, name)) as file:
        return json.load(file)


def drawings(directory):
    """Each SVG of the page, parsed, by what it says it shows."""
    with open(os.path.join(directory, "report.html")) as file:
        text = file.read()
    found = {}
    for part in text.split("<svg ")[1:]:
        tree = xml.etree.ElementTree.fromstring("<svg " + part[:part.index("</svg>") + 6])
        found[tree.get("aria-label")] = tree
    return found


def rows_run(directory, build):
    printed = run(directory, "run", build, "--quick", "--seconds", "1", "--servers", "penfold", "--connections", "400", "--dir", directory,
                  "--only", ",".join(ROWS + ["limits"]))
    for name in ROWS:
        assert rows.BY_NAME[name].title in printed, printed
    assert "limits: " in printed, printed


def rows_have_figures(directory):
    results = read(directory, "results.json")
    assert set(results["rows"]) == set(ROWS), results["rows"].keys()
    for name, servers in results["rows"].items():
        assert list(servers) == ["penfold"] and len(servers["penfold"]) == 1, servers
        result = servers["penfold"][0]
        assert result["errors"] == 0 and not result["note"] and result["value"] > 0 and result["ops"] > 0, (name, result)
    assert set(results["limits"]) == LIMITS and all(value > 0 for value in results["limits"].values()), results["limits"]


def what_goes_well_is_not_logged(directory):
    with open(os.path.join(directory, "state", "penfold", "penfold.log")) as file:
        lines = [line for line in file if " info " in line]
    assert not lines, (len(lines), lines[:3])


def table_for_the_readme(directory):
    table = run(directory, "report.py", directory)
    for name in ROWS:
        assert f"| {rows.BY_NAME[name].title} |" in table, table
    assert "errors)" not in table and "Limits of the machine." in table, table


def rows_are_drawn(directory):
    found = drawings(directory)
    for name in ROWS:
        svg = found[rows.BY_NAME[name].title]
        assert float(svg.find("{*}rect").get("width")) > 1 and svg.findall("{*}text")[0].text == "Penfold", name


def growth_runs(directory, build):
    run(directory, "growth", build, "--sizes", "20,120", "--accounts", "8,24", "--seconds", "1", "--dir", directory)
    growth = read(directory, "growth.json")
    for kind, titles in GROWN.items():
        for size, found in growth["penfold"][kind].items():
            assert found["errors"] == [] and set(found) == {*titles, "errors"} and all(found[title] > 0 for title in titles), (kind, size, found)


def growth_is_drawn(directory):
    found = drawings(directory)
    for kind in GROWN:
        lines = found[kind].findall("{*}polyline")
        assert lines and all(len(line.get("points").split()) == 2 for line in lines), kind


def main():
    build, what = sys.argv[1:]
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="penfold-bench-") as directory:
        if what == "run":
            tap.run("bench/run serves a few rows and the limits", rows_run, directory, build)
            tap.run("each row has a figure and no error", rows_have_figures, directory)
            tap.run("Penfold logs as little as its peers", what_goes_well_is_not_logged, directory)
            tap.run("the table for the README has them", table_for_the_readme, directory)
            tap.run("the page shows a bar of each", rows_are_drawn, directory)
        else:
            tap.run("bench/growth fills, measures and counts no error", growth_runs, directory, build)
            tap.run("the page shows a curve of each", growth_is_drawn, directory)
    tap.done()


main()
