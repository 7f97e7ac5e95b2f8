"""Containers that end: replaced at once (`./run bench restart` measures it), then with patience."""

import time

from cases import case, create, wait_each_once
from lab import wait_for


def replacement(lab, service):
    host = next(host for host in lab if host.engine.running(service))
    old = host.engine.containers(service)[0]["Id"]
    begun = time.monotonic()
    host.engine.call("POST", f"/containers/{old}/kill")
    wait_for(lambda: any(one["Id"] != old for each in lab for one in each.engine.containers(service)), 20, "a replacement", every=0.005)
    return time.monotonic() - begun


@case(hosts=3)
def a_killed_container_is_replaced_at_once(lab, long):
    times = []
    for round_ in range(15 if long else 7):
        create(lab["h1"], f"web{round_}", 1)
        wait_each_once(lab, f"web{round_}", 1, 15)
        times.append(replacement(lab, f"web{round_}"))
    print(f"        {', '.join(f'{one:.2f}' for one in times)} s", flush=True)


@case(hosts=3)
def a_crash_loop_backs_off_and_shows(lab):
    lab["h1"].kith_docker("service", "create", "-d", "--name", "bad", lab.image, "/lab/exit", "3")

    def shown():
        out = lab["h2"].kith_docker("service", "ps", "bad", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
        return "3" in out and "exit" in out.lower() and out

    wait_for(shown, 15, "the exit code in service ps")
    time.sleep(20)
    failures = max(one["failures"] for one in lab["h1"].kith.get("/kith/v1/tasks") if one["service"] == "bad")
    assert 3 <= failures <= 12, failures
    create(lab["h1"], "good", 3)  # a crash loop is in nobody's way
    wait_each_once(lab, "good", 3, 10)
    lab["h1"].kith_docker("service", "rm", "bad")
    wait_for(lambda: not any(host.engine.containers("bad", running=False) for host in lab), 15, "nothing of it is left")


@case(hosts=2)
def a_condition_of_none_restarts_nothing(lab):
    lab["h1"].kith_docker("service", "create", "-d", "--name", "once", "--restart-condition", "none", lab.image, "/lab/exit", "0")
    wait_for(lambda: any(task["Status"]["State"] == "complete" for task in lab["h1"].tasks("once")), 15, "complete")
    time.sleep(5)
    assert lab.running("once") == 0
    assert sum(len(host.engine.containers("once", running=False)) for host in lab) == 1
