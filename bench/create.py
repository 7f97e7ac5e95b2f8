"""Service created -> all replicas running, over five hosts: Swarm, kith, and the raw limit of the engines themselves.

    ./run bench create [swarm] [kith] [--rounds N]
"""

import statistics
import sys
import time

from sides import Lab, create, number, remove, sides


def side_times(side, replicas, rounds):
    times = []
    for _ in range(rounds):
        begun = time.monotonic()
        create(side, "web", replicas)
        side.lab.wait_running("web", replicas, 120, every=0.02)
        times.append(time.monotonic() - begun)
        remove(side, "web")
    return times


def raw_times(lab, replicas, rounds):
    """Create and start through each engine's socket, the hosts side by side, a host's containers one after the other."""
    times = []

    def work(host):
        for _ in range(replicas // len(lab.names)):
            made = host.engine.call("POST", "/containers/create", {"Image": lab.image, "Labels": {"com.docker.swarm.service.name": "raw"}})
            host.engine.call("POST", f"/containers/{made['Id']}/start")

    for _ in range(rounds):
        begun = time.monotonic()
        lab.each(work)
        times.append(time.monotonic() - begun)
        for host in lab:
            for container in host.engine.containers("raw"):
                host.engine.call("DELETE", f"/containers/{container['Id']}", force="true")
    return times


def main(argv):
    rounds = number(argv, "rounds", 3)
    table = {}
    for kind in sides(argv):
        with Lab(5) as lab:
            if "raw" not in table:
                table["raw"] = {replicas: raw_times(lab, replicas, rounds) for replicas in (10, 30)}
            side = kind(lab)
            table[kind.name] = {replicas: side_times(side, replicas, rounds) for replicas in (10, 30)}
    print(f"create: `docker service create` -> all replicas running on 5 hosts, median of {rounds}")
    for replicas in (10, 30):
        raw = statistics.median(table["raw"][replicas])
        cells = []
        for name, times in table.items():
            median = statistics.median(times[replicas])
            cells.append(f"{name} {median:.2f} s" + ("" if name == "raw" else f" ({median / raw:.2f} x raw)"))
        print(f"  {replicas:3} replicas: " + ", ".join(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
