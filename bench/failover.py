"""A host's link is cut: seconds until all 10 replicas run on the others, Swarm and kith on the same five hosts.

    ./run bench failover [swarm] [kith] [--cuts N]
"""

import sys
import time

from sides import Lab, balance, create, number, ratio, sides, summary, wait_for

REPLICAS = 10


def spread(lab, service, hosts=None):
    return [host.engine.running(service) for host in (hosts or lab)]


def measure(side, cuts):
    lab, times = side.lab, []
    create(side, "web", REPLICAS)
    lab.wait_running("web", REPLICAS, 60)
    for round_ in range(cuts):
        victim = side.victims()[round_ % len(side.victims())]
        if lab[victim].engine.running("web") == 0:
            balance(side, "web", REPLICAS)
        lost = lab[victim].engine.running("web")
        survivors = lab.others(victim)
        begun = time.monotonic()
        lab.cut(victim)
        wait_for(lambda: lab.running("web", survivors) >= REPLICAS, 90, f"{REPLICAS} replicas without {victim}", every=0.02)
        times.append(time.monotonic() - begun)
        print(f"  {side.name}: cut {victim} ({lost} of {REPLICAS} on it): {times[-1]:.2f} s", flush=True)
        lab.heal(victim)
        wait_for(side.whole, 60, "all hosts back")
        wait_for(lambda: lab.running("web") == REPLICAS, 60, "exactly as many as wanted after the heal")
        if side.name == "swarm" or lab[victim].engine.running("web") == 0:
            balance(side, "web", REPLICAS)  # Swarm gives a host that returns nothing
    return times


def main(argv):
    cuts = number(argv, "cuts", 5)
    results = {}
    for kind in sides(argv):
        with Lab(5) as lab:
            results[kind.name] = measure(kind(lab), cuts)
    print(f"failover: link of one of 5 hosts cut -> {REPLICAS} replicas running on the others")
    for name, times in results.items():
        print(f"  {name:6} {summary(times)}")
    ratio(results)


if __name__ == "__main__":
    main(sys.argv[1:])
