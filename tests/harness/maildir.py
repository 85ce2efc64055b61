"""Maildirs as real clients leave them."""
import os


def messages(path):
    """[(flags, bytes)] of a maildir, sorted by contents."""
    found = []
    for sub in ("cur", "new"):
        folder = os.path.join(path, sub)
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as file:
                found.append((name.split(":2,")[1] if ":2," in name else "", file.read()))
    return sorted(found, key=lambda m: m[1])


def file_with(path, text):
    """Path of the one message file that contains the text."""
    found = []
    for sub in ("cur", "new"):
        folder = os.path.join(path, sub)
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as file:
                if text in file.read():
                    found.append(os.path.join(folder, name))
    assert len(found) == 1, (path, text, found)
    return found[0]


def set_flags(file, flags):
    """Renames a message file so that it has exactly these flags."""
    folder, name = os.path.split(file)
    cur = os.path.join(os.path.dirname(folder), "cur")
    target = os.path.join(cur, name.split(":2,")[0] + ":2," + "".join(sorted(flags)))
    os.rename(file, target)
    return target


def add(path, body, flags="", name="local.1"):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, sub), exist_ok=True)
    with open(os.path.join(path, "cur", f"{name}:2,{flags}"), "wb") as file:
        file.write(body)
