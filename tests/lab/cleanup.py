"""What a lab leaves outside its namespaces, and how it goes: one folder with an `owner` file, one name in the control groups."""

import json
import os
import shutil
import threading
import time

from linux import Cgroups, kill_if_same, start_time

PREFIX = "kl-"
BASE = os.environ.get("KITH_LAB_DIR", "/tmp")  # short: a unix socket's path holds 107 bytes
_lock = threading.Lock()


def write_owner(folder, inits):
    owner = {"pid": os.getpid(), "started": start_time(os.getpid()), "inits": inits}
    path = os.path.join(folder, "owner")
    with open(path + ".new", "w") as file:
        json.dump(owner, file)
    os.replace(path + ".new", path)


def read_owner(folder):
    try:
        with open(os.path.join(folder, "owner")) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def record(folder, pid, started):
    with _lock:
        owner = read_owner(folder)
        write_owner(folder, owner["inits"] + [[pid, started]])


def labs():
    """Names of every lab that has a folder or a control group here."""
    names = {entry.name for entry in os.scandir(BASE) if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False)}
    if os.path.isdir(Cgroups("").freezer):
        names |= {entry.name for entry in os.scandir(Cgroups("").freezer) if entry.name.startswith(PREFIX)}
    return sorted(names)


def owned(name):
    """True if the process that made this lab still lives (or made it so lately that it has not signed yet).

    A lab whose folder is not under this BASE but which has processes is somebody else's.
    """
    folder = os.path.join(BASE, name)
    owner = read_owner(folder)
    if owner is None:
        try:
            return time.time() - os.stat(folder).st_mtime < 10
        except FileNotFoundError:
            return bool(Cgroups(name).processes())
    return start_time(owner["pid"]) == owner["started"]


def remove(folder, cgroups):
    cgroups.remove()
    deadline = time.monotonic() + 10
    while os.path.exists(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            break


def reap():
    """Clears the labs whose makers are gone. Ends only processes that those recorded, by id and start time."""
    gone = []
    for name in labs():
        if owned(name):
            continue
        folder = os.path.join(BASE, name)
        inits = (read_owner(folder) or {"inits": []})["inits"]
        for pid, started in inits:
            kill_if_same(pid, started)
        deadline = time.monotonic() + 10
        while any(start_time(pid) == started for pid, started in inits) and time.monotonic() < deadline:
            time.sleep(0.01)
        remove(folder, Cgroups(name))
        gone.append(name)
    return gone


def leaks(name):
    found = []
    folder = os.path.join(BASE, name)
    cgroups = Cgroups(name)
    if os.path.exists(folder):
        found.append(f"folder {folder}")
    for pid in cgroups.processes():
        found.append(f"process {pid} in a control group of {name}")
    found += [f"control group {root}" for root in cgroups.roots()]
    with open("/proc/self/mountinfo") as mounts:
        found += [f"mount {line.split()[4]}" for line in mounts if name in line]
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/" in command:
            found.append(f"process {entry}: {command[:120]}")
    if os.path.isdir("/run/netns"):
        found += [f"network namespace {other}" for other in os.listdir("/run/netns") if other.startswith(name)]
    found += [f"link {link}" for link in os.listdir("/sys/class/net") if link.startswith(PREFIX)]
    return found


def leaks_of_the_dead():
    return [line for name in labs() if not owned(name) for line in leaks(name)]
