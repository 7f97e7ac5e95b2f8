"""The two sides that every benchmark compares, behind one face: Docker Swarm and kith over the same five hosts.

What is measured is measured the same way for both: by asking the hosts' own engines.
"""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lab"))

from host import kith_binary  # noqa: E402
from lab import Lab, wait_for  # noqa: E402


class Swarm:
    """Five engines, one manager (on the first host), as `docker swarm init` leaves it."""

    name = "swarm"

    def __init__(self, lab):
        self.lab = lab
        first = lab[0]
        first.docker("swarm", "init", "--advertise-addr", first.address)
        token = first.docker("swarm", "join-token", "-q", "worker").strip()
        for host in lab.others(first.name):
            host.docker("swarm", "join", "--token", token, f"{first.address}:2377", "--advertise-addr", host.address)
        wait_for(self.whole, 30, "five ready Swarm nodes")

    def client(self, *args, host=None, **how):
        return self.lab[0].docker(*args, **how)

    def whole(self):
        nodes = self.lab[0].engine.get("/nodes")
        return len(nodes) == len(self.lab.names) and all(node["Status"]["State"] == "ready" for node in nodes)

    def victims(self):
        """Hosts whose loss is measured: workers, the single manager must stay."""
        return self.lab.names[1:]

    def down(self):
        pass


class Kith:
    name = "kith"

    def __init__(self, lab):
        self.lab = lab
        lab.start_agents()

    def client(self, *args, host=None, **how):
        return self.lab[host or 0].kith_docker(*args, **how)

    def whole(self):
        return all(len(host.ready_nodes()) == len(self.lab.names) for host in self.lab)

    def victims(self):
        return self.lab.names

    def down(self):
        pass


def create(side, service, replicas, *command, host=None, options=()):
    side.client("service", "create", "-d", "--no-resolve-image", "--name", service, "--replicas", str(replicas), *options,
                side.lab.image, *command, host=host)


def remove(side, service):
    side.client("service", "rm", service)
    side.lab.wait_running(service, 0, 60)


def balance(side, service, replicas):
    """Brings the copies of a service back to an even spread, by asking the side to place them anew."""
    remove(side, service)
    create(side, service, replicas)
    side.lab.wait_running(service, replicas, 60)


def sides(argv):
    """The sides named on the command line, both if none is."""
    known = {"swarm": Swarm, "kith": Kith}
    chosen = [known[arg] for arg in argv if arg in known] or [Swarm, Kith]
    if Kith in chosen:
        kith_binary()
    return chosen


def number(argv, name, default):
    """The value of `--name N`."""
    flag = f"--{name}"
    return int(argv[argv.index(flag) + 1]) if flag in argv else default


def summary(values):
    return f"median {statistics.median(values):.2f} s, worst {max(values):.2f} s of {len(values)}"


def ratio(results):
    """Prints how many times sooner kith is, if both were measured."""
    if {"swarm", "kith"} <= results.keys():
        swarm, kith = (statistics.median(results[name]) for name in ("swarm", "kith"))
        print(f"  kith takes {kith / swarm:.2f} of Swarm's time (median), {max(results['kith']) / max(results['swarm']):.2f} (worst)")


def timed(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun
