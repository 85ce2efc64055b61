"""Results as text and as a page: medians of rounds, ratios against the better peer, what was promised.

    bench/report.py DIR      prints the table of DIR/results.json for README.md, and draws DIR/report.html anew
"""
import html
import json
import math
import os
import statistics
import sys

import rows
import servers

PEERS = ["mdbox", "maildir", "cyrus", "cyrus-quickack"]
PROMISED = ["mdbox", "cyrus"]  # a ratio is promised against the better of these two; beside it stands that against the best of all


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100000:
        return f"{value / 1000:,.0f}k"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def median(rounds, key="value"):
    values = [each[key] for each in rounds if each.get(key) is not None]
    return statistics.median(values) if values else None


def figures(row, results):
    """For each server: value, p99, CPU per operation, memory, errors."""
    found = {}
    for name, rounds in results["rows"].get(row.name, {}).items():
        ops = sum(each.get("ops", 0) for each in rounds)
        cpu = sum(each.get("server_cpu_s", 0) for each in rounds)
        found[name] = {"value": median(rounds), "p99_ms": (median(rounds, "p99_us") or 0) / 1000 or None,
                       "first_ms": (median(rounds, "first_us") or 0) / 1000 or None,
                       "cpu_us": cpu / ops * 1e6 if ops and cpu else None, "memory_mib": (median(rounds, "memory_kib") or 0) / 1024 or None,
                       "errors": sum(each["errors"] for each in rounds),
                       "low": min((each["value"] for each in rounds if each["value"] is not None), default=None),
                       "high": max((each["value"] for each in rounds if each["value"] is not None), default=None)}
    return found


def ratio_to(row, found, peers):
    """How many times better Penfold is than the best of these."""
    own = found.get("penfold", {}).get("value")
    values = [found[name]["value"] for name in peers if name in found and found[name]["value"]]
    if not own or not values:
        return None
    return own / max(values) if row.figure == "rate" and not row.single else min(values) / own


def verdict(row, found):
    """Ratio to the better of the two that a ratio is promised against, what was promised, whether it is kept."""
    own, ratio = found.get("penfold", {}).get("value"), ratio_to(row, found, PROMISED)
    kind, target = row.target
    if kind == "times":
        return ratio, f"{target}x", None if ratio is None else ratio >= target
    if kind == "times-cyrus":
        cyrus = max((found[name]["value"] or 0 for name in ("cyrus", "cyrus-quickack") if name in found), default=0)
        return ratio, f"{target}x Cyrus", None if not own or not cyrus else own >= target * cyrus
    if kind == "times-dovecot":
        dovecot = max((found[name]["value"] or 0 for name in ("mdbox", "maildir") if name in found), default=0)
        return ratio, f"{target}x Dovecot", None if not own or not dovecot else own >= target * dovecot
    if kind == "share-mdbox":
        mdbox = found.get("mdbox", {}).get("value")
        return ratio, f"{target} of mdbox", None if not own or not mdbox else own <= target * mdbox
    return ratio, f"< {target} {row.unit}", None if own is None else own < target


def share_of_limit(row, results):
    """How near Penfold's figure is to the limit of the machine beside it: 1 is there. None: no limit is named, or one of them was not measured."""
    parts = [results["limits"].get(name) for name in row.limit.split("+")] if row.limit else []
    limit = 1 / sum(1 / part for part in parts) if parts and all(parts) else None
    rounds = [each for each in results["rows"].get(row.name, {}).get("penfold", []) if each.get("value")]
    own = median(rounds)
    if not limit or not own:
        return None
    if row.limit == "loopback":  # GB/s
        ops = sum(each["ops"] for each in rounds)
        return own * sum(each["bytes"] for each in rounds) / ops / 1e9 / limit if ops else None
    return own / limit if row.figure == "rate" else 1000 / limit / own


def table(results):
    names = [name for name in servers.TITLES if any(name in results["rows"].get(row.name, {}) for row in rows.ROWS)]
    lines = [f"{'':46} " + " ".join(f"{name:>14}" for name in names) + f" {'ratio':>7} {'of all':>7} {'promised':>13}"]
    for row in rows.ROWS:
        found = figures(row, results)
        if not found:
            continue
        ratio, promised, kept = verdict(row, found)
        cells = [f"{number(found[name]['value']) + row.unit if name in found else '':>14}" for name in names]
        mark = "" if kept is None else "kept" if kept else "MISSED"
        mark += f"  {limit_cell(row, results)}"
        lines.append(f"{row.title:46} " + " ".join(cells) + f" {number(ratio):>7} {number(ratio_to(row, found, PEERS)):>7} {promised:>13} {mark}")
        for key, label in (("p99_ms", "p99 ms"), ("first_ms", "first ms"), ("cpu_us", "server CPU us/op"), ("memory_mib", "memory MiB"),
                           ("errors", "ERRORS")):
            if any(found[name][key] for name in found) and not (key == "first_ms" and row.figure == "rate"):
                cells = [f"{number(found[name][key]) if name in found else '':>14}" for name in names]
                lines.append(f"{'    ' + label:46} " + " ".join(cells))
    if results["limits"]:
        lines.append("limits: " + ", ".join(f"{name} {number(value)}" for name, value in results["limits"].items()))
    return "\n".join(lines)


def limit_cell(row, results):
    share = share_of_limit(row, results)
    return f"{number(share)} of {row.limit}" if share else ""


def markdown(results):
    head = " | ".join(servers.TITLES[name] for name in PEERS + ["penfold"])
    lines = [f"| work | {head} | ratio | of all | promised | | of the limit |", "|---" * 11 + "|"]
    cpu = [f"| server CPU per operation | {head} |", "|---" * 6 + "|"]
    for row in rows.ROWS:
        found = figures(row, results)
        if not found:
            continue
        ratio, promised, kept = verdict(row, found)
        cells = []
        for name in PEERS + ["penfold"]:
            entry = found.get(name)
            cell = "-" if not entry else number(entry["value"]) + ("/s" if row.unit == "/s" else " " + row.unit)
            if entry and name == "penfold" and entry["p99_ms"] and not row.single:
                cell += f", p99 {number(entry['p99_ms'])} ms"
            cells.append(cell + (f" ({entry['errors']} errors)" if entry and entry["errors"] else ""))
        lines.append(f"| {row.title} | " + " | ".join(cells) + f" | {number(ratio)} | {number(ratio_to(row, found, PEERS))} | {promised} | {'' if kept is None else 'kept' if kept else 'missed'} | {limit_cell(row, results)} |")
        if any(entry["cpu_us"] for entry in found.values()):
            cpu.append(f"| {row.title} | " + " | ".join(number(found[name]["cpu_us"]) + " us" if name in found else "-" for name in PEERS + ["penfold"]) + " |")
    limits = ", ".join(f"{LIMITS.get(name, name)}: {number(value)}" for name, value in results["limits"].items())
    return "\n".join(lines + ["", "Limits of the machine. " + limits + ".", ""] + cpu)


# ---- The page ----

COLOURS = {"penfold": "#1a5fb4", "mdbox": "#e66100", "maildir": "#f5a86a", "mdbox-zstd": "#c64600", "cyrus": "#8a8a8a", "cyrus-quickack": "#bdbdbd"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin: 2em 0 .3em; }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: #222; }
table { border-collapse: collapse; font-size: 13px; width: 100%; } th, td { text-align: right; padding: .25em .5em; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } .missed { color: #a51d2d; } .kept { color: #26701f; } p { margin: .3em 0; }
"""


def bars(row, found):
    """One bar for each server; a line through each shows the range of the rounds."""
    names = [name for name in servers.TITLES if found.get(name, {}).get("value") is not None]
    top = max((found[name]["high"] for name in names), default=1) or 1
    out = [f'<svg viewBox="0 0 900 {len(names) * 24}" role="img" aria-label="{html.escape(row.title)}">']
    for index, name in enumerate(names):
        entry, y = found[name], index * 24
        width, low, high = (entry[key] / top * 560 for key in ("value", "low", "high"))
        out.append(f'<text x="150" y="{y + 16}" text-anchor="end">{html.escape(servers.TITLES[name])}</text>'
                   f'<rect x="160" y="{y + 4}" width="{max(width, 1):.1f}" height="16" fill="{COLOURS[name]}"/>'
                   f'<path d="M{160 + low:.1f} {y + 12}H{160 + high:.1f}" stroke="#000" stroke-opacity=".5"/>'
                   f'<text x="{168 + max(width, high):.1f}" y="{y + 16}">{number(entry["value"])} {html.escape(row.unit)}</text>')
    return "".join(out) + "</svg>"


def details(found, names):
    head = "".join(f"<th>{html.escape(servers.TITLES[name])}</th>" for name in names)
    out = [f"<table><tr><th></th>{head}</tr>"]
    for key, label in (("p99_ms", "p99, ms"), ("cpu_us", "server CPU per operation, us"), ("memory_mib", "memory, MiB"), ("errors", "errors")):
        if any(found[name][key] for name in names):
            out.append(f"<tr><td>{label}</td>" + "".join(f"<td>{number(found[name][key])}</td>" for name in names) + "</tr>")
    return "".join(out) + "</table>" if len(out) > 1 else ""


def page(results, growth):
    machine = results.get("machine", {})
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Penfold, measured</title>",
           f"<style>{STYLE}</style><h1>Penfold beside Dovecot and Cyrus</h1>",
           f"<p>{machine.get('processors')} processors ({html.escape(str(machine.get('model')))}), Linux {html.escape(str(machine.get('kernel')))}, "
           f"{machine.get('date')}. Load generator on the same processors; medians of rounds that took turns, lines show their range. "
           "The ratio is against the better of Dovecot mdbox and Cyrus, and against the best of all.</p>"]
    for row in rows.ROWS:
        found = figures(row, results)
        if not found:
            continue
        ratio, promised, kept = verdict(row, found)
        mark = "" if kept is None else f' <span class="{"kept" if kept else "missed"}">{"kept" if kept else "missed"}</span>'
        names = [name for name in servers.TITLES if name in found]
        near = limit_cell(row, results)
        near = f"; {html.escape(near.split(' of ')[0])} of the limit ({html.escape(', and '.join(LIMITS[name] for name in row.limit.split('+')))})" if near else ""
        out.append(f"<h2>{html.escape(row.title)}</h2><p>{'less' if row.unit != '/s' else 'more'} is better; ratio {number(ratio)} (of all {number(ratio_to(row, found, PEERS))}), promised "
                   f"{html.escape(promised)}{mark}{near}</p>{bars(row, found)}{details(found, names)}")
    if results["limits"]:
        out.append("<h2>Limits of this machine</h2><table>" + "".join(
            f"<tr><td>{html.escape(LIMITS.get(name, name))}</td><td>{number(value)}</td></tr>" for name, value in results["limits"].items()) +
            "</table>")
    return "\n".join(out + growth_page(growth)) + "</html>\n"


LIMITS = {"sync": "4 KiB written and synced, one after the other, /s", "tls": "TLS handshakes with an empty accept loop, /s",
          "echo": "a line there and back, one connection, /s", "echo-4": "the same, 4 connections, /s", "echo-32": "the same, 32 connections, /s",
          "logins": "login, SELECT, logout, 16 clients, nothing looked at, /s", "answers-flags": "answers to FETCH FLAGS out of memory, messages/s",
          "answers-envelope": "to FETCH ENVELOPE BODYSTRUCTURE, messages/s", "answers-header": "to FETCH of five header fields, messages/s", "memcpy": "memcpy of 23 KB pieces, GB/s", "loopback": "the same through loopback, GB/s",
          "drained": "maildrops taken out of memory, /s", "drained-pipe": "the same, pipelined, /s",
          "taken-8": "mixed mail over LMTP into the bare log, 8 connections, /s", "taken-64": "the same, 64 connections, /s", "taken-small": "small mail, one connection, /s",
          "taken-append": "mixed mail by APPEND into the bare log, 8 connections, /s",
          "log-1": "bare log, 1 writer, messages/s", "log-16": "bare log, 16 writers, messages/s", "log-64": "bare log, 64 writers, messages/s"}


# ---- Growth ----

def growth_table(growth):
    lines = []
    for name, parts in growth.items():
        for what, sizes in parts.items():
            titles = list(dict.fromkeys(title for found in sizes.values() for title in found if title != "errors"))
            lines.append(f"{servers.TITLES[name] + ', ' + what:28} " + " ".join(f"{int(size):>12,}" for size in sizes))
            for title in titles:
                lines.append(f"  {title:26} " + " ".join(f"{number(found.get(title)):>12}" for found in sizes.values()))
            lines += [f"  ERROR at {size}: {error}" for size, found in sizes.items() for error in found["errors"]]
    return "\n".join(lines)


LINES = ["#1a5fb4", "#26701f", "#a51d2d", "#813d9c", "#986a44", "#444444", "#c64600"]


def curves(sizes, titles, what):
    """Both axes logarithmic: what is flat stays flat, what doubles with its cause climbs with slope one."""
    points = {title: [(math.log10(int(size)), math.log10(max(found[title], 0.001))) for size, found in sizes.items() if found.get(title)]
              for title in titles}
    values = [y for line in points.values() for _, y in line]
    left, right = (math.log10(int(size)) for size in (min(sizes, key=int), max(sizes, key=int)))
    low, high = math.floor(min(values)), math.ceil(max(values) + 0.01)
    across = lambda x: 70 + (x - left) / max(right - left, 0.1) * 620
    down = lambda y: 290 - (y - low) / max(high - low, 0.1) * 270
    out = [f'<svg viewBox="0 0 900 330" role="img" aria-label="{what}">']
    for power in range(low, high + 1):
        out.append(f'<path d="M70 {down(power):.1f}H690" stroke="#ddd"/><text x="62" y="{down(power) + 4:.1f}" text-anchor="end">{10.0 ** power:g} ms</text>')
    for size in sizes:
        out.append(f'<text x="{across(math.log10(int(size))):.1f}" y="312" text-anchor="middle">{int(size):,} {what}</text>')
    labels = sorted((down(line[-1][1]), title) for title, line in points.items() if line)
    place = -20
    for (y, title) in labels:
        line, colour = points[title], LINES[titles.index(title) % len(LINES)]
        place = max(y, place + 16)
        out.append(f'<polyline points="{" ".join(f"{across(x):.1f},{down(v):.1f}" for x, v in line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{across(x):.1f}" cy="{down(v):.1f}" r="3" fill="{colour}"/>' for x, v in line]
        out.append(f'<text x="715" y="{place + 4:.1f}" style="fill:{colour}">{html.escape(title)} {number(10 ** line[-1][1])} ms</text>')
    return "".join(out) + "</svg>"


def growth_page(growth):
    out = []
    for name, parts in growth.items():
        for what, sizes in parts.items():
            titles = [title for title in next(iter(sizes.values())) if title not in ("errors", "fill/s", "start s", "memory MiB")]
            if len(sizes) > 1:
                out.append(f"<h2>{html.escape(servers.TITLES[name])}: how times grow with {what}</h2>{curves(sizes, titles, what)}")
    return out


def draw(directory):
    """report.html from the results there are in the folder."""
    found = {}
    for name in ("results", "growth"):
        path = os.path.join(directory, name + ".json")
        if os.path.exists(path):
            with open(path) as file:
                found[name] = json.load(file)
    results = {"rows": {}, "limits": {}, **found.get("results", {})}
    with open(os.path.join(directory, "report.html"), "w") as file:
        file.write(page(results, found.get("growth", {})))


if __name__ == "__main__":
    with open(os.path.join(sys.argv[1], "results.json")) as results_file:
        print(markdown(json.load(results_file)))
    draw(sys.argv[1])
