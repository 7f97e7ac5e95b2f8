"""Docker hosts on this machine, on a switch of their own, whose cables can be cut.

    with Lab(5) as lab:
        lab.start_agents()
        lab["h1"].kith_docker("service", "create", "--name", "web", "--replicas", "6", lab.image)
        lab.cut("h3")

Each host is a set of namespaces (processes, network, mounts, name) with a dockerd of its own; the kernel takes all of
it away when the host's process 1 ends, and that ends with the lab, however the lab ends. What then is left on disk and
in the control groups is removed by `close()`, or for a lab that was killed, by the next one or `python3 lab.py --reap`.
"""

import atexit
import base64
import concurrent.futures
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import cleanup
from docker_http import Engine
from faults import Faults
from host import Host
from linux import Cgroups, spawn_init, spawn_in, start_time

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGE = "lab:1"

# What the image can do besides busybox. A service that ends at once on SIGTERM; one that does not.
SCRIPTS = {
    "term": "trap 'exit 0' TERM\nsleep 2147483647 &\nwait\n",
    "stubborn": "trap '' TERM\nwhile :; do sleep 2147483647; done\n",
    "exit": 'sleep "${2:-0}"\nexit "${1:-1}"\n',
}


def image_tar():
    """A root file system with busybox and the scripts as /lab/<name>, as tar bytes."""
    busybox = shutil.which("busybox")
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o755):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname, entry.mode = kind, len(data), link, mode
            tar.addfile(entry, io.BytesIO(data) if data else None)

        for folder in ("bin", "lab", "tmp", "etc", "data"):
            add(folder, tarfile.DIRTYPE)
        with open(busybox, "rb") as file:
            add("bin/busybox", data=file.read())
        for applet in applets:
            if applet != "busybox":
                add(f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        for name, body in SCRIPTS.items():
            add(f"lab/{name}", data=f"#!/bin/sh\n{body}".encode())
        add("etc/passwd", data=b"root:x:0:0:root:/:/bin/sh\n", mode=0o644)
    return buffer.getvalue()


def wait_for(condition, timeout, what="", every=0.05):
    """Polls until `condition()` is true and returns its value; AssertionError with its last value when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        error = None
        try:
            value = condition()
            if value:
                return value
        except Exception as caught:  # a refused connection, an answer that is not there yet
            value, error = None, caught
        if time.monotonic() > deadline:
            last = repr(error) if error else repr(value)
            raise AssertionError(f"not within {timeout} s: {what or getattr(condition, '__name__', '')} (last: {last[:600]})")
        time.sleep(every)


def _stop_by_signal(number, _frame):
    raise SystemExit(128 + number)


class Lab(Faults):
    def __init__(self, hosts=5, names=None, subnet="10.77.0"):
        self.names = list(names) if names else [f"h{i}" for i in range(1, hosts + 1)]
        self.subnet = subnet
        self.image = IMAGE
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.hosts = {}
        self.closed = False
        self.switch = None
        cleanup.reap()
        self.id = cleanup.PREFIX + secrets.token_hex(3)
        self.dir = os.path.join(cleanup.BASE, self.id)
        self.cgroups = Cgroups(self.id)
        super().__init__()

    def __getitem__(self, name):
        return self.hosts[name if isinstance(name, str) else self.names[name]]

    def __iter__(self):
        return iter(self.hosts.values())

    def __enter__(self):
        if sys.platform != "linux" or os.geteuid() != 0:
            raise SystemExit("the lab makes network namespaces and starts dockerd: run it as root on Linux")
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop_by_signal)
        atexit.register(self.close)
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, _trace):
        if kind and os.environ.get("KITH_LAB_KEEP_LOGS"):
            self.save_logs(os.environ["KITH_LAB_KEEP_LOGS"])
        self.close()

    def _open(self):
        os.makedirs(self.dir, mode=0o755)
        cleanup.write_owner(self.dir, [])
        image = image_tar()
        self.switch = self._init("switch")
        self.on_switch("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self.on_switch("ip", "link", "set", "br0", "up")
        for index, name in enumerate(self.names, 1):
            self.hosts[name] = Host(self, name, index)
        self.each(lambda host: host.power_on())
        self.each(lambda host: host.import_image(image))

    def each(self, action, hosts=None):
        """Runs action(host) for all hosts side by side; the results in order, the first failure raised."""
        chosen = list(self if hosts is None else hosts)
        with concurrent.futures.ThreadPoolExecutor(max(1, len(chosen))) as pool:
            return list(pool.map(action, chosen))

    def _init(self, name):
        """Starts process 1 of a host (or of the switch) and records it for whoever cleans up."""
        command = [sys.executable, "-I", "-S", os.path.join(HERE, "host_init.py"), name]
        process = spawn_init(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{name}: process 1 did not start: {process.stderr.read().decode()}")
        cleanup.record(self.dir, process.pid, start_time(process.pid))
        return process

    def on_switch(self, *argv, text=None):
        command = ["nsenter", f"--net=/proc/{self.switch.pid}/ns/net", *argv]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    # Agents

    def start_agents(self, hosts=None, ready=True, timeout=20.0):
        """Starts kith on each host and waits until every one of them sees all of them."""
        chosen = list(self if hosts is None else hosts)
        self.each(lambda host: host.start_agent(), chosen)
        if ready:
            for host in chosen:
                wait_for(lambda: len(host.workers()) >= len(chosen), timeout, f"{host.name} sees {len(chosen)} nodes ready for work")

    # Counting

    def running(self, service=None, hosts=None):
        """Containers of the service that run, over the given hosts' own engines."""
        return sum(self.each(lambda host: host.engine.running(service), hosts))

    def wait_running(self, service, count, timeout, hosts=None, every=0.05):
        """Seconds until exactly `count` containers of the service run."""
        start = time.monotonic()
        wait_for(lambda: self.running(service, hosts) == count, timeout, f"{count} containers of {service}", every)
        return time.monotonic() - start

    def others(self, *names):
        return [host for host in self if host.name not in names]

    def save_logs(self, folder):
        os.makedirs(folder, exist_ok=True)
        for host in self:
            for kind in ("kith.log", "docker.log"):
                source = os.path.join(host.dir, kind)
                if os.path.exists(source):
                    shutil.copy(source, os.path.join(folder, f"{host.name}-{kind}"))

    def close(self):
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            if self.hosts:
                self.each(lambda host: host.power_off())
            if self.switch:
                self.switch.kill()
                self.switch.wait()
            cleanup.remove(self.dir, self.cgroups)
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def leaks(self):
        """What is left of this lab after close(): a list of sentences, empty when all is well."""
        return cleanup.leaks(self.id)


if __name__ == "__main__":
    if sys.argv[1:] == ["--reap"]:
        for name in cleanup.reap():
            print(f"removed {name}")
        left = cleanup.leaks_of_the_dead()
        print("\n".join(left) if left else "nothing is left of any lab")
        sys.exit(1 if left else 0)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    begun = time.monotonic()
    with Lab(count) as lab:
        print(f"{count} hosts in {time.monotonic() - begun:.1f} s; ctrl-C ends them")
        for host in lab:
            print(f"  export DOCKER_HOST=unix://{host.docker_socket}   # {host.name} {host.address}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
