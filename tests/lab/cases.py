"""What a lab test is, and what many of them ask."""

import inspect
import threading
import time

from lab import wait_for


class Skip(Exception):
    """This machine cannot do what the test needs."""


class Case:
    def __init__(self, body, hosts, agents, long, seconds):
        self.body = body
        self.hosts = hosts
        self.agents = agents
        self.long = long
        self.seconds = seconds
        self.module = body.__module__
        self.line = body.__code__.co_firstlineno
        self.full_name = f"{body.__module__.removeprefix('test_')}: {body.__name__.replace('_', ' ')}"
        self.wants_long = "long" in inspect.signature(body).parameters

    def limit(self, long):
        return self.seconds * 10 if long else self.seconds


def case(hosts=3, agents=True, long=False, seconds=120):
    """A test of that many hosts, with agents that have met each other unless told otherwise.

    `long=True`: only in the long run. A body with a parameter `long` is told which run it is in.
    """
    return lambda body: Case(body, hosts, agents, long, seconds)


def create(host, name, replicas, *command, options=()):
    """`docker service create -d` at the host's agent; the service's id."""
    return host.kith_docker("service", "create", "-d", "--name", name, "--replicas", str(replicas), *options,
                            host.lab.image, *command).split("\n")[0].strip()


def slots(lab, service, hosts=None):
    """{slot: [hosts on which a container of it runs]}, from the engines themselves."""
    found = {}
    for host, containers in zip(hosts or list(lab), lab.each(lambda host: host.engine.containers(service), hosts)):
        for container in containers:
            slot = int(container["Names"][0].lstrip("/").removeprefix(f"{service}.").split(".")[0])
            found.setdefault(slot, []).append(host.name)
    return found


def each_once(lab, service, count, hosts=None):
    found = slots(lab, service, hosts)
    return sorted(found) == list(range(1, count + 1)) and all(len(where) == 1 for where in found.values())


def wait_each_once(lab, service, count, timeout, hosts=None):
    begun = time.monotonic()
    wait_for(lambda: each_once(lab, service, count, hosts), timeout, f"each of the {count} slots of {service} runs once")
    return time.monotonic() - begun


def wait_settled(lab, service, count, timeout):
    """Until the copies are spread evenly, each slot once, and nothing has moved for two seconds.

    A copy of work that is handed back runs beside the one it takes over from for a moment: while anything
    is on the move, a slot with two copies is no fault.
    """
    def settled():
        for _ in range(10):
            counts = [host.engine.running(service) for host in lab]
            if max(counts) - min(counts) > 1 or not each_once(lab, service, count):
                return False
            time.sleep(0.2)
        return True

    wait_for(settled, timeout, f"{service} even and at rest")


def containers(lab, service, hosts=None):
    """{container id: when it started}."""
    return {container["Id"]: host.engine.get(f"/containers/{container['Id']}/json")["State"]["StartedAt"]
            for host in (hosts or lab) for container in host.engine.containers(service)}


def views_agree(hosts):
    """Everybody sees everybody of these ready, the same services, and the same documents."""
    names = {host.name for host in hosts}
    return (all(names <= set(host.ready_nodes()) for host in hosts)
            and len({tuple(host.services()) for host in hosts}) == 1
            and len({host.kith.get("/kith/v1/status")["docs_root"] for host in hosts}) == 1)


def down(host, *names):
    """True if the host's agent calls each of these down."""
    nodes = host.nodes()
    return all(nodes.get(name) == "down" for name in names)


class Watch:
    """Counts a service's running containers every 50 ms, on every engine that answers."""

    def __init__(self, lab, service, hosts=None, every=0.05):
        self.samples = []  # (monotonic seconds, count)
        self.lab, self.service, self.hosts, self.every = lab, service, hosts, every
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.done.is_set():
            begun = time.monotonic()
            try:
                self.samples.append((begun, self.lab.running(self.service, self.hosts)))
            except OSError:
                pass
            self.done.wait(max(0.0, self.every - (time.monotonic() - begun)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def least(self):
        return min(count for _, count in self.samples)


class Accusations:
    """What the agents' events say of nodes while the block lasts: [(who says, action, node)]."""

    def __init__(self, hosts):
        self.hosts = hosts

    def __enter__(self):
        self.since = time.time()
        return self

    def __exit__(self, *_):
        pass

    def of(self, *actions):
        found = []
        for host in self.hosts:
            for event in host.recent_events():
                if event["type"] == "node" and event["action"] in actions and event["at_ms"] / 1000 >= self.since:
                    found.append((host.name, event["action"], event["name"]))
        return found

    def suspicions(self):
        """[(seconds since 1970, who accuses, whom)]"""
        return sorted({(event["at_ms"] / 1000, event["attributes"].get("by"), event["name"]) for host in self.hosts for event in host.recent_events()
                       if event["type"] == "node" and event["action"] == "suspect" and event["at_ms"] / 1000 >= self.since})
