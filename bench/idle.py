"""What five idle agents cost: resident memory, share of a core, bytes to disk and on the wire.

    ./run bench idle [--seconds N]
"""

import sys
import time

from sides import Kith, Lab, create, number
from linux import cpu_seconds, io_counters, resident_bytes


def sent_bytes(host):
    with open(f"/proc/{host.init.pid}/net/dev") as devices:
        for line in devices:
            name, _, counters = line.partition(":")
            if name.strip() == "eth0":
                return int(counters.split()[8])
    return 0


def main(argv):
    seconds = number(argv, "seconds", 60)
    with Lab(5) as lab:
        side = Kith(lab)
        create(side, "web", 10)
        lab.wait_running("web", 10, 60)
        time.sleep(10)  # let the burst of starting settle: this is the idle state
        before = {host.name: (cpu_seconds(host.agent.pid), io_counters(host.agent.pid), sent_bytes(host)) for host in lab}
        begun = time.monotonic()
        time.sleep(seconds)
        span = time.monotonic() - begun
        print(f"idle: 5 agents, a service of 10 replicas, {span:.0f} s")
        for host in lab:
            cpu, disk, sent = before[host.name]
            now = io_counters(host.agent.pid)
            print(f"  {host.name}: {resident_bytes(host.agent.pid) / 2**20:.1f} MiB resident, "
                  f"{100 * (cpu_seconds(host.agent.pid) - cpu) / span:.2f}% of a core, "
                  f"{now['write_bytes'] - disk['write_bytes']} bytes to disk, {(sent_bytes(host) - sent) / span:.0f} bytes/s sent")


if __name__ == "__main__":
    main(sys.argv[1:])
