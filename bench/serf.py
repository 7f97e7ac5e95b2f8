"""kith's membership beside Serf's: both at once on this machine, every agent on loopback, each pointed at one seed.

    ./run bench serf [--nodes 5,50] [--loss 0,10] [--idle MINUTES] [--busy] [--kills N] [--events N] [--joins N] [--encrypt] [--dir DIR]

--busy keeps one core occupied with another program. --encrypt gives Serf a key too: kith has one always.
kith's data_dirs are in memory, or in --dir: fifty hosts have fifty disks, this machine has one, and Serf writes nothing.
Agents are known by what they log, at the moment it is read: the same for both sides.
"""

import argparse
import math
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from loopback import Processes, end_with_bench, filter_traffic, own_network, traffic
from sides import kith_binary
from docker_http import Engine

KEY = "a2l0aCBiZW5jaGVzIGl0c2VsZiBiZXNpZGUgc2VyZi4="
SETTLED = 35.0  # seconds, until the news of the joins has spread
LIMIT = 90.0  # seconds, for whatever is waited for; what takes longer counts as lost


class Agent:
    def __init__(self, side, index):
        self.side, self.index = side, index
        self.name = f"{side.name}{index}"
        self.address = f"{side.net}.{index}"
        self.process = None
        self.view = {self.name: "alive"}  # what it holds of each member
        self.told = {}                    # (name, state) -> when it said so first, since that was last cleared
        self.suspicions = self.deaths = 0

    def takes(self, name, state, when):
        self.told.setdefault((name, state), when)
        if state == "suspect":
            self.suspicions += 1
        else:
            self.deaths += state == "dead"
            self.view[name] = state


class Side:
    """One of the two clusters. A subclass knows how an agent is started and what its lines mean."""

    def __init__(self, processes, count, directory, options):
        self.processes, self.dir, self.options = processes, directory, options
        self.agents = [Agent(self, index) for index in range(1, count + 1)]
        self.results = {}

    def start(self, agent):
        agent.view, agent.told = {agent.name: "alive"}, {}
        agent.process = self.processes.start(self.command(agent), lambda line, when: self.hear(agent, line, when))

    def stop(self):
        for agent in self.agents:
            if agent.process:
                self.processes.kill(agent.process)
            agent.process = None

    def whole(self):
        return all(sum(state == "alive" for state in agent.view.values()) == len(self.agents) for agent in self.agents)

    def seen_by(self, agents, what):
        return all(what in agent.told for agent in agents)

    def join(self):
        """From the start of all but the seed until all know all. The seed is up before."""
        seed, *others = self.agents
        self.start(seed)
        self.processes.listen(1.0)
        begun = time.monotonic()
        for agent in others:
            self.start(agent)
        joined = self.processes.wait(self.whole, LIMIT)
        self.note("joined", time.monotonic() - begun if joined else math.inf)

    def note(self, row, value):
        self.results.setdefault(row, []).append(value)

    def note_spread(self, what, agents, begun, first=None, last=None):
        times = [agent.told.get(what, math.inf) - begun for agent in agents]
        if first:
            self.note(first, min(times))
        self.note(last, max(times))


class Serf(Side):
    name, net = "serf", "10.77.1"
    EVENT = re.compile(r"serf: EventMember(Join|Failed|Leave|Update|Reap): (\S+)|memberlist: Suspect (\S+) has failed"
                       r"|Received event: user-event: (\S+)")
    STATES = {"Join": "alive", "Update": "alive", "Failed": "dead", "Leave": "left", "Reap": "gone"}

    def command(self, agent):
        argv = ["serf", "agent", f"-node={agent.name}", f"-bind={agent.address}:7946", f"-rpc-addr={agent.address}:7373",
                "-log-level=info", f"-join={self.agents[0].address}:7946", "-retry-interval=1s",
                f"-retry-join={self.agents[0].address}:7946"]
        if agent.index == 1:
            argv = argv[:6]
        return argv + (["-encrypt=" + KEY] if self.options.encrypt else [])

    def hear(self, agent, line, when):
        found = self.EVENT.search(line)
        if not found:
            return
        kind, name, suspect, event = found.groups()
        if kind:
            agent.takes(name, self.STATES[kind], when)
        elif suspect:
            agent.takes(suspect, "suspect", when)
        else:
            agent.told.setdefault((event, "event"), when)

    def tell(self, agent, event):
        """Serf's RPC: MessagePack maps, a header and a body each."""
        def text(value):
            return bytes([0xA0 | len(value)]) + value.encode()

        def call(number, command, body):
            return b"\x82" + text("Command") + text(command) + text("Seq") + bytes([number]) + body

        payload = b"\xda\x01\x00" + b"x" * 256  # about the size of kith's document
        with socket.create_connection((agent.address, 7373), timeout=5) as rpc:
            rpc.sendall(call(0, "handshake", b"\x81" + text("Version") + b"\x01"))
            rpc.recv(4096)
            begun = time.monotonic()
            rpc.sendall(call(1, "event", b"\x83" + text("Name") + text(event) + text("Payload") + payload +
                             text("Coalesce") + b"\xc2"))
            rpc.recv(4096)
        return begun


class Kith(Side):
    name, net = "kith", "10.77.2"
    EVENT = re.compile(r"(?:node (\S+) (joined|is back|is suspect|is alive after all|is dead|has left|removed)"
                       r"|agent of node (\S+) (restarted)|service (\S+) (created))")
    STATES = {"joined": "alive", "is back": "alive", "is alive after all": "alive", "restarted": "alive", "is suspect": "suspect",
              "is dead": "dead", "has left": "left", "removed": "gone"}

    def path(self, agent, ending=""):
        return os.path.join(self.dir, agent.name + ending)

    def command(self, agent):
        with open(self.path(agent, ".yaml"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(f"cluster: bench\nkey: {KEY}\njoin: [{self.agents[0].address}]\ndata_dir: {self.path(agent)}\n"
                       f"node: {{name: {agent.name}, address: {agent.address}}}\nengine: {{docker: none}}\n"
                       f"api: {{socket: {self.path(agent, '.sock')}, listen: 'off'}}\n")
        return [kith_binary(), "agent", "--config", self.path(agent, ".yaml")]

    def stop(self):
        super().stop()
        for agent in self.agents:  # the next start is a first one, as Serf's is
            shutil.rmtree(self.path(agent), ignore_errors=True)

    def hear(self, agent, line, when):
        found = self.EVENT.search(line)
        if not found:
            return
        name, state, restarted, word, service, _ = found.groups()
        if service:
            agent.told.setdefault((service, "event"), when)
        else:
            agent.takes(name or restarted, self.STATES[state or word], when)

    def tell(self, agent, event):
        spec = {"Name": event, "Mode": {"Replicated": {"Replicas": 0}}, "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest"}}}
        begun = time.monotonic()
        Engine(self.path(agent, ".sock")).call("POST", "/services/create", spec)
        return begun


# --- What is measured ------------------------------------------------------------------------------------------------

def rest(sides, processes, minutes):
    """What agents use and say while nothing happens."""
    agents = [agent for side in sides for agent in side.agents]
    for agent in agents:
        agent.suspicions = agent.deaths = 0
    before = {agent: agent.process.cpu_seconds() for agent in agents}
    sent = traffic()
    begun = time.monotonic()
    processes.listen(60 * minutes)
    span = time.monotonic() - begun
    after = traffic()
    for side in sides:
        for agent in side.agents:
            resident, share = agent.process.memory()
            side.note("resident", resident / 1e6)
            side.note("share", share / 1e6)
            side.note("cpu", 100 * (agent.process.cpu_seconds() - before[agent]) / span)
        grown = {name: [now - then for now, then in zip(after[name], sent[name])] for name in after}
        per = span * len(side.agents)
        udp, tcp = grown[side.name + "_udp"], grown[side.name + "_tcp"]
        side.note("packets", (udp[0] + tcp[0]) / per)
        side.note("bytes", (udp[1] + tcp[1]) / per)
        side.note("stream bytes", tcp[1] / per)
        side.note("suspicions", sum(agent.suspicions for agent in side.agents))
        side.note("deaths", sum(agent.deaths for agent in side.agents))
    return span


def kill_one(sides, processes, rng):
    """The same place dies on both sides at the same moment. Afterwards it starts again, and all is waited for."""
    index = rng.randrange(1, len(sides[0].agents))  # not the seed
    processes.listen(rng.random())
    killed = {}
    for side in sides:
        for agent in side.agents:
            agent.told.clear()
        killed[side] = processes.kill(side.agents[index].process)
        side.agents[index].process = None
    known = (side.agents[index].name for side in sides)
    checks = [(side, name, [agent for agent in side.agents if agent.process]) for side, name in zip(sides, known)]
    processes.wait(lambda: all(side.seen_by(others, (name, "dead")) for side, name, others in checks), LIMIT)
    for side, name, others in checks:
        side.note_spread((name, "dead"), others, killed[side], "first", "all")
        side.start(side.agents[index])
    if not processes.wait(lambda: all(side.whole() for side in sides), LIMIT):
        print("  (after a restart not all were alive to all; goes on)", flush=True)
    processes.listen(2.0)


def spread_one(sides, processes, rng, number):
    index = rng.randrange(len(sides[0].agents))
    for side in sides:
        for agent in side.agents:
            agent.told.clear()
        event = f"e{number}"
        begun = side.tell(side.agents[index], event)
        processes.wait(lambda side=side: side.seen_by(side.agents, (event, "event")), LIMIT)
        side.note_spread((event, "event"), side.agents, begun, last="spread")
        processes.listen(0.3)


# --- What is printed -------------------------------------------------------------------------------------------------

ROWS = (
    ("joined", "all joined", "s", 2, lambda n, ours, theirs: ours <= theirs),
    ("first", "killed -> first to know", "s", 2, None),
    ("all", "killed -> known by all", "s", 2, lambda n, ours, theirs: ours <= (1.5 if n <= 5 else 2.0)),
    ("spread", "event -> seen by all", "s", 3, None),
    ("resident", "resident memory an agent", "MB", 1, lambda n, ours, theirs: ours <= 5),
    ("share", "  its share where shared (PSS)", "MB", 1, None),
    ("cpu", "CPU an agent, idle", "%", 2, lambda n, ours, theirs: ours <= theirs),
    ("bytes", "bytes an agent a second, idle", "", 0, lambda n, ours, theirs: ours <= 2 * theirs),
    ("stream bytes", "  of them by stream", "", 0, None),
    ("packets", "packets an agent a second, idle", "", 1, None),
    ("suspicions", "suspicions of the living, idle", "", 0, None),
    ("deaths", "the living called dead, idle", "", 0, lambda n, ours, theirs: ours == 0),
)


def shown(value, digits):
    return f"> {LIMIT:.0f}" if value == math.inf else f"{value:.{digits}f}"


def show(count, loss, span, options, sides):
    serf, kith = (side.results for side in sides)
    load = os.getloadavg()[0]
    print(f"\n{count} agents a side, {loss}% loss, idle for {span:.0f} s{', one core kept busy' * options.busy}"
          f"{', Serf with a key' * options.encrypt}; load {load:.1f}")
    print(f"  {'':34}{'serf median':>12}{'worst':>9}{'kith median':>13}{'worst':>9}{'kith/serf':>11}  goal")
    for row, title, unit, digits, goal in ROWS:
        cells = []
        for results in (serf, kith):
            values = results.get(row, [])
            cells += [statistics.median(values) if values else math.nan, max(values, default=math.nan)]
        theirs, ours = cells[0], cells[2]
        ratio = f"{ours / theirs:.2f}" if theirs and math.isfinite(theirs) and math.isfinite(ours) else "-"
        verdict = "" if goal is None or math.isnan(ours) else "met" if goal(count, ours, theirs) else "MISSED"
        text = [shown(value, digits) for value in cells]
        print(f"  {title + (', ' + unit if unit else ''):34}{text[0]:>12}{text[1]:>9}{text[2]:>13}{text[3]:>9}{ratio:>11}  {verdict}".rstrip())
    sys.stdout.flush()


def measure(count, loss, options, directory, rng):
    processes = Processes()
    busy = None
    try:
        filter_traffic({side.name: f"{side.net}.0/24" for side in (Serf, Kith)}, loss)
        sides = [side(processes, count, directory, options) for side in (Serf, Kith)]
        for again in range(options.joins):
            for side in sides:
                side.stop()
            for side in sides if again % 2 == 0 else sides[::-1]:
                side.join()
                processes.listen(1.0)
        processes.listen(SETTLED)
        if options.busy:
            busy = end_with_bench([sys.executable, "-c", "while True: pass"])
        span = rest(sides, processes, options.idle)
        for _ in range(options.kills):
            kill_one(sides, processes, rng)
        for number in range(options.events):
            spread_one(sides, processes, rng, number)
        show(count, loss, span, options, sides)
    finally:
        processes.close()
        if busy:
            busy.kill()
            busy.wait()


def numbers(text):
    return [int(part) for part in text.split(",")]


def main(argv):
    parser = argparse.ArgumentParser(prog="bench serf", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=numbers, default=[5, 50])
    parser.add_argument("--loss", type=numbers, default=[0, 10], help="percent, of every packet")
    parser.add_argument("--idle", type=float, default=1.0, help="minutes")
    parser.add_argument("--kills", type=int, default=7)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument("--joins", type=int, default=3)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--encrypt", action="store_true")
    parser.add_argument("--dir", default="/dev/shm")
    parser.add_argument("--seed", type=int, default=1, help="of who is killed when")
    options = parser.parse_args(argv)
    if not all(2 <= count <= 254 for count in options.nodes):
        parser.error("--nodes: from 2 to 254")
    if shutil.which("serf") is None or shutil.which("nft") is None:
        sys.exit("bench serf: needs Serf and nft: apt-get install serf nftables")
    kith_binary()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Whoever reads the clock comes first, or it would read the time at which it was let to.
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    own_network(f"{side.net}.{index}" for side in (Serf, Kith) for index in range(1, max(options.nodes) + 1))
    version = subprocess.run(["serf", "version"], text=True, capture_output=True).stdout.split("\n")[0]
    print(f"Serf {version} and kith on {os.cpu_count()} cores")
    directory = tempfile.mkdtemp(prefix="kith-bench-", dir=options.dir)
    try:
        for count in options.nodes:
            for loss in options.loss:
                measure(count, loss, options, directory, random.Random(options.seed))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
