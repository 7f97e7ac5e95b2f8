"""The kernel side of the lab: processes in PID namespaces of their own, control groups, process identity."""

import ctypes
import os
import signal
import subprocess
import time

CLONE_NEWPID = 0x20000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


class _ChildrenIn:
    """Children that this thread starts within the block are born in another PID namespace.

    The kernel keeps that choice a thread, so threads may do this side by side; no thread may be
    started within the block.
    """

    def __init__(self, init_pid=None):
        self.init_pid = init_pid

    def __enter__(self):
        self.own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        if self.init_pid is None:
            _check(_libc.unshare(CLONE_NEWPID), "unshare")
        else:
            there = os.open(f"/proc/{self.init_pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _check(_libc.setns(there, CLONE_NEWPID), "setns")
            finally:
                os.close(there)

    def __exit__(self, *_):
        try:
            _check(_libc.setns(self.own, CLONE_NEWPID), "setns back")
        finally:
            os.close(self.own)


def spawn_init(argv, **popen):
    """Starts `argv` as process 1 of new PID, network, mount, UTS and IPC namespaces.

    When it ends, the kernel ends every process in there, and with them the mounts and links.
    """
    wrapper = ["unshare", "--mount", "--net", "--uts", "--ipc", "--propagation", "private"]
    with _ChildrenIn():
        return subprocess.Popen(wrapper + argv, **popen)


def spawn_in(init_pid, argv, cgroup_procs=None, **popen):
    """Starts `argv` in every namespace of process `init_pid`; the Popen's pid is the program's own, as seen from here."""
    enter = ["nsenter"] + [f"--{kind}=/proc/{init_pid}/ns/{name}"
                           for kind, name in (("net", "net"), ("mount", "mnt"), ("uts", "uts"), ("ipc", "ipc"))]
    if cgroup_procs:
        enter += ["sh", "-c", 'echo 0 > "$0" && exec "$@"', cgroup_procs]
    with _ChildrenIn(init_pid):
        return subprocess.Popen(enter + argv, **popen)


def start_time(pid):
    """The process's start in clock ticks since boot, or None if there is no such process; with the pid it names one process for good."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def kill_if_same(pid, started, number=signal.SIGKILL):
    """Signals the process only if it is still the one that was started then. True if it was."""
    if started is None or start_time(pid) != started:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def cpu_seconds(pid):
    """Of all its threads, as the scheduler counted them: /proc/PID/stat counts whole ticks of 10 ms."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def io_counters(pid):
    """/proc/PID/io as a dictionary: wchar counts every write() byte, write_bytes what goes to a disk."""
    with open(f"/proc/{pid}/io") as io:
        return {key.rstrip(":"): int(value) for key, value in (line.split() for line in io)}


class Cgroups:
    """One subtree a lab, in each hierarchy (version 1) or in the only one (version 2): `<name>/<host>/{host,box}`."""

    ROOT = "/sys/fs/cgroup"

    def __init__(self, name):
        self.name = name
        self.v2 = os.path.exists(f"{self.ROOT}/cgroup.controllers")
        self.freezer = self.ROOT if self.v2 else f"{self.ROOT}/freezer"

    def add(self, host):
        os.makedirs(f"{self.freezer}/{self.name}/{host}/host", exist_ok=True)
        return f"{self.freezer}/{self.name}/{host}/host/cgroup.procs"

    def docker_parent(self, host):
        return f"/{self.name}/{host}/box"

    def freeze(self, host, frozen, timeout=5.0):
        """Stops or continues every process of the host; returns once the kernel says so."""
        group = f"{self.freezer}/{self.name}/{host}"
        if self.v2:
            control, value, state, want = "cgroup.freeze", "01"[frozen], "cgroup.events", f"frozen {int(frozen)}"
        else:
            control, value, state = "freezer.state", ("THAWED", "FROZEN")[frozen], "freezer.state"
            want = value
        deadline = time.monotonic() + timeout
        while True:
            with open(f"{group}/{control}", "w") as file:
                file.write(value)
            with open(f"{group}/{state}") as file:
                if want in file.read():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host} could not be {'frozen' if frozen else 'thawed'} in {timeout} s")
            time.sleep(0.002)

    def roots(self):
        roots = [self.ROOT] if self.v2 else [entry.path for entry in os.scandir(self.ROOT) if entry.is_dir(follow_symlinks=False)]
        return [path for root in roots if os.path.isdir(path := f"{root}/{self.name}")]

    def processes(self):
        pids = set()
        for root in self.roots():
            for folder, _, _ in os.walk(root):
                try:
                    with open(f"{folder}/cgroup.procs") as procs:
                        pids.update(int(line) for line in procs)
                except (FileNotFoundError, OSError):
                    pass
        return pids - {0}

    def remove(self, timeout=5.0):
        deadline = time.monotonic() + timeout
        while roots := self.roots():
            for root in roots:
                for folder, _, _ in os.walk(root, topdown=False):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass
            if time.monotonic() > deadline:
                break
            if self.roots():
                time.sleep(0.01)
