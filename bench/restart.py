"""A container is killed -> its replacement runs. Each time a first failure, of another service.

    ./run bench restart [swarm] [kith] [--rounds N]
"""

import sys
import time

from sides import Lab, create, number, ratio, remove, sides, summary, wait_for


def measure(side, rounds):
    times = []
    for round_ in range(rounds):
        service = f"web{round_}"
        create(side, service, 1)
        side.lab.wait_running(service, 1, 60)
        host = next(host for host in side.lab if host.engine.running(service))
        old = host.engine.containers(service)[0]["Id"]
        begun = time.monotonic()
        host.engine.call("POST", f"/containers/{old}/kill")

        def replaced():
            return any(c["Id"] != old for other in side.lab for c in other.engine.containers(service))

        wait_for(replaced, 60, "a replacement", every=0.01)
        times.append(time.monotonic() - begun)
        print(f"  {side.name}: {times[-1]:.2f} s", flush=True)
        remove(side, service)
    return times


def main(argv):
    rounds = number(argv, "rounds", 5)
    results = {}
    for kind in sides(argv):
        with Lab(5) as lab:
            results[kind.name] = measure(kind(lab), rounds)
    print("restart: container killed -> replacement running, first failure")
    for name, times in results.items():
        print(f"  {name:6} {summary(times)}")
    ratio(results)


if __name__ == "__main__":
    main(sys.argv[1:])
