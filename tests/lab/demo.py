"""The demo: three Docker hosts on this machine become a cluster, run a service, lose a host, and get it back."""

import json
import sys
import threading
import time

from cases import each_once
from lab import Lab, wait_for

NAMES = ("alder", "birch", "cedar")
REPLICAS = 6
BOLD, GREY, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def shown(command, output):
    print(f"{GREY}$ {command}{PLAIN}\n" + "\n".join("  " + line for line in output.rstrip().splitlines()), flush=True)


class Events:
    """Prints what one host's `kith events -f` says, with the seconds since `mark()`."""

    WORDS = {"running": "runs on", "shutdown": "ends on", "failed": "fails on"}

    def __init__(self, host):
        self.host = host.name
        self.process = host.events()
        self.zero = 0.0
        self.muted = True
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def mark(self):
        self.zero = time.monotonic()
        self.muted = False

    def mute(self):
        self.muted = True

    def _read(self):
        for line in self.process.stdout:
            seconds = time.monotonic() - self.zero
            if self.muted or not line.strip():
                continue
            event = json.loads(line)
            text = event["text"] if event["type"] == "node" else None
            if event["type"] == "task" and event["action"] in self.WORDS:
                text = f"{event['name']} {self.WORDS[event['action']]} {event['attributes'].get('node', self.host)}"
            if text:
                print(f"  {seconds:6.2f} s  {text}", flush=True)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join(2)
        self.process.stdout.close()


def spread(lab):
    return "   ".join(f"{host.name}: {host.engine.running('web')}" for host in lab)


def play(lab):
    begun = time.monotonic()
    title(f"{len(NAMES)} hosts, each with a Docker engine of its own, on one switch")
    for host in lab:
        print(f"  {host.name:6} {host.address}   Docker {host.engine.get('/version')['Version']}", flush=True)

    title("the same agent with the same key on each; nobody is in charge")
    begun = time.monotonic()
    lab.start_agents()
    print(f"  all three know each other after {time.monotonic() - begun:.2f} s")
    for host in lab:
        shown(f"docker -H {host.name} node ls", host.kith_docker("node", "ls"))

    title(f"a service of {REPLICAS} replicas, asked of {NAMES[1]} with the stock client")
    begun = time.monotonic()
    command = ["service", "create", "--detach", "--name", "web", "--replicas", str(REPLICAS), lab.image]
    shown(f"docker -H {NAMES[1]} {' '.join(command)}", lab[NAMES[1]].kith_docker(*command))
    wait_for(lambda: each_once(lab, "web", REPLICAS), 20, "all replicas running")
    print(f"  all {REPLICAS} run after {time.monotonic() - begun:.2f} s   ({spread(lab)})")
    shown(f"docker -H {NAMES[0]} service ps web", lab[NAMES[0]].kith_docker("service", "ps", "web"))

    victim = NAMES[2]
    survivors = lab.others(victim)
    events = Events(lab[NAMES[0]])
    try:
        title(f"the cable of {victim} is cut; what {NAMES[0]} says, in seconds since")
        time.sleep(0.3)  # the reader of events has connected
        events.mark()
        lab.cut(victim)
        wait_for(lambda: lab.running("web", survivors) >= REPLICAS, 20, "all replicas on the survivors")
        took = time.monotonic() - events.zero
        time.sleep(0.5)
        print(f"  {BOLD}all {REPLICAS} run again after {took:.2f} s{PLAIN}   ({spread(lab)}: those of {victim} run on, unreachable)")
        shown(f"docker -H {NAMES[0]} node ls", lab[NAMES[0]].kith_docker("node", "ls"))

        title(f"the cable is back; {victim} ends its surplus copies, then gets work back, make before break")
        events.mark()
        lab.heal(victim)
        wait_for(lambda: lab.running("web") == REPLICAS, 15, "no surplus copy")
        print(f"  {time.monotonic() - events.zero:6.2f} s  {BOLD}exactly {REPLICAS} run{PLAIN}   ({spread(lab)})", flush=True)
        share = REPLICAS // len(NAMES)
        wait_for(lambda: all(host.engine.running("web") == share for host in lab) and each_once(lab, "web", REPLICAS), 40, "work handed back")
        print(f"  {time.monotonic() - events.zero:6.2f} s  {BOLD}{victim} has its share again{PLAIN}   ({spread(lab)})", flush=True)
        events.mute()
        shown(f"docker -H {victim} service ls", lab[victim].kith_docker("service", "ls"))
    finally:
        events.close()


def main():
    begun = time.monotonic()
    lab = Lab(names=NAMES)
    with lab:
        play(lab)
    left = lab.leaks()
    title("everything is taken down")
    print("  left behind: " + ("; ".join(left) if left else "nothing"))
    print(f"  {time.monotonic() - begun:.1f} s in all")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
