"""Many agents on one machine: a network of the bench's own, and what each process says and uses.

The bench itself moves into a fresh network namespace, which ends with its last process. Agents end with the bench, even if
it is killed. So nothing can be left behind but a folder under /tmp, and that only after a kill -9.
"""

import ctypes
import os
import selectors
import subprocess
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def own_network(addresses):
    """Leaves the host's network for an empty one, whose loopback has `addresses`."""
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))
    batch = "link set lo up\n" + "".join(f"addr add {address}/32 dev lo\n" for address in addresses)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, capture_output=True)


def filter_traffic(nets, loss):
    """Counts what each net sends, by name, before `loss` percent of all datagrams and segments are dropped on arrival."""
    counters = "".join(f"  counter {name}_udp {{ }}\n  counter {name}_tcp {{ }}\n" for name in nets)
    counting = "".join(f"    ip saddr {net} meta l4proto {proto} counter name {name}_{proto}\n"
                       for name, net in nets.items() for proto in ("udp", "tcp"))
    dropping = "".join(f"    ip daddr {net} numgen random mod 100 < {loss} drop\n" for net in nets.values()) if loss else ""
    rules = ("table inet bench { }\nflush ruleset\ntable inet bench {\n" + counters +
             "  chain sent {\n    type filter hook output priority 0;\n" + counting + "  }\n"
             "  chain arriving {\n    type filter hook input priority 0;\n" + dropping + "  }\n}\n")
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


def traffic():
    """{counter: (packets, bytes)}, headers of IP and up included."""
    out = subprocess.run(["nft", "list", "counters"], text=True, check=True, capture_output=True).stdout.split()
    named = {}
    for at, word in enumerate(out):
        if word == "counter":
            name = out[at + 1]
        elif word == "packets":
            named[name] = int(out[at + 1]), int(out[at + 3])
    return named


def end_with_bench(argv, **popen):
    """The kernel kills it when the bench ends, however that comes. Its pid is the program's own."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv], **popen)


class Process:
    """A running agent, and the lines it writes."""

    def __init__(self, argv, hear):
        self.popen = end_with_bench(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.hear = hear
        self.rest = b""
        os.set_blocking(self.popen.stdout.fileno(), False)

    @property
    def pid(self):
        return self.popen.pid

    def cpu_seconds(self):
        """Of all its threads, ended ones too, to the nanosecond: the process's own clock, as clock_getcpuclockid gives it."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory(self):
        """(resident, its share of what is resident) in bytes."""
        found = {}
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            for line in rollup:
                name, _, value = line.partition(":")
                if name in ("Rss", "Pss"):
                    found[name] = int(value.split()[0]) * 1024
        return found["Rss"], found["Pss"]


class Processes:
    """All agents of a bench; what they write is heard while it waits."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.all = set()

    def start(self, argv, hear):
        process = Process(argv, hear)
        self.all.add(process)
        self.selector.register(process.popen.stdout, selectors.EVENT_READ, process)
        return process

    def kill(self, process):
        """Without a goodbye. Returns when it was done."""
        when = time.monotonic()
        process.popen.kill()
        process.popen.wait()
        self.selector.unregister(process.popen.stdout)
        process.popen.stdout.close()
        self.all.discard(process)
        return when

    def close(self):
        for process in list(self.all):
            process.popen.kill()
        for process in list(self.all):
            self.kill(process)

    def hear(self, seconds):
        """Hands each line that comes within that time to its process's listener, with the time it came."""
        for key, _ in self.selector.select(max(0.0, seconds)):
            when = time.monotonic()
            process = key.data
            try:
                data = os.read(key.fd, 65536)
            except BlockingIOError:
                continue
            if not data:
                status = process.popen.wait()
                last = process.rest.decode(errors="replace")
                raise RuntimeError(f"an agent ended by itself with {status}: {' '.join(process.popen.args)} {last}")
            *lines, process.rest = (process.rest + data).split(b"\n")
            for line in lines:
                process.hear(line.decode(errors="replace"), when)

    def wait(self, condition, limit):
        """True once the condition holds, false if it does not within `limit` seconds."""
        deadline = time.monotonic() + limit
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.hear(min(left, 0.5))
        return True

    def listen(self, seconds):
        self.wait(lambda: False, seconds)
