"""A host is cut off: its work runs elsewhere. It comes back: it gets work back, and nobody notices.

How long it takes is printed here and measured by `./run bench failover`.
"""

import time

from cases import Watch, case, create, each_once, slots, wait_each_once, wait_settled
from lab import wait_for

REPLICAS = 10


def cut_and_count(lab, victim):
    survivors = lab.others(victim)
    begun = time.monotonic()
    lab.cut(victim)
    wait_for(lambda: lab.running("web", survivors) >= REPLICAS, 30, f"{REPLICAS} replicas without {victim}", every=0.02)
    return time.monotonic() - begun


@case(hosts=5, seconds=300)
def ten_replicas_run_elsewhere_within_seconds(lab, long):
    create(lab["h1"], "web", REPLICAS)
    wait_each_once(lab, "web", REPLICAS, 30)
    times = []
    for round_ in range(10 if long else 4):
        victim = lab.names[round_ % 5]
        if not lab[victim].engine.running("web"):
            lab["h1"].kith_docker("service", "rm", "web")
            lab.wait_running("web", 0, 30)
            create(lab["h1"], "web", REPLICAS)
            wait_each_once(lab, "web", REPLICAS, 30)
        times.append(cut_and_count(lab, victim))
        lab.heal(victim)
        wait_for(lambda: all(len(host.ready_nodes()) == 5 for host in lab), 30, "all back")
        wait_each_once(lab, "web", REPLICAS, 30)
    print(f"        cut -> all running elsewhere: {', '.join(f'{one:.2f}' for one in times)} s", flush=True)


@case(hosts=5, seconds=200)
def a_healed_host_ends_its_surplus_and_gets_work_back(lab):
    create(lab["h1"], "web", REPLICAS)
    wait_each_once(lab, "web", REPLICAS, 30)
    victim = next(host.name for host in lab.others("h1") if host.engine.running("web"))
    cut_and_count(lab, victim)

    with Watch(lab, "web") as watch:
        lab.heal(victim)
        surplus = lab.wait_running("web", REPLICAS, 15)
        wait_settled(lab, "web", REPLICAS, 60)
    spread = [host.engine.running("web") for host in lab]
    print(f"        surplus gone in {surplus:.2f} s; spread {spread}; fewest running {watch.least()} of {len(watch.samples)} samples", flush=True)
    assert watch.least() >= REPLICAS, watch.samples
    assert each_once(lab, "web", REPLICAS), slots(lab, "web")
    assert max(spread) - min(spread) <= 1, spread


@case(hosts=3, seconds=180)
def services_that_ignore_sigterm_move_too(lab):
    create(lab["h1"], "web", 3, "/lab/stubborn", options=("--stop-grace-period", "2s"))
    wait_each_once(lab, "web", 3, 20)
    lab.cut("h3")
    wait_each_once(lab, "web", 3, 10, lab.others("h3"))
    lab.heal("h3")
    wait_each_once(lab, "web", 3, 30)


@case(hosts=3, seconds=120)
def a_host_without_power_is_like_one_without_a_link(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    begun = time.monotonic()
    lab["h2"].power_off()
    wait_each_once(lab, "web", 6, 10, lab.others("h2"))
    print(f"        {time.monotonic() - begun:.2f} s", flush=True)
    lab["h2"].power_on()
    lab["h2"].start_agent()
    wait_for(lambda: all(len(host.ready_nodes()) == 3 for host in lab), 20)
    wait_each_once(lab, "web", 6, 30)


@case(hosts=5, seconds=240)
def lost_packets_kill_nobody(lab, long):
    create(lab["h1"], "web", REPLICAS)
    wait_each_once(lab, "web", REPLICAS, 30)
    lab.lose(10)
    deadline = time.monotonic() + (600 if long else 30)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        for host in lab:
            assert "down" not in host.nodes().values(), (host.name, host.nodes())
    lab.heal_all()
    assert each_once(lab, "web", REPLICAS)


@case(hosts=5, seconds=120)
def a_host_that_is_deaf_to_one_other_stays(lab):
    create(lab["h1"], "web", REPLICAS)
    wait_each_once(lab, "web", REPLICAS, 30)
    lab.cut_one_way("h1", "h2")
    for _ in range(20):
        time.sleep(0.5)
        for host in lab:
            assert "down" not in host.nodes().values(), (host.name, host.nodes())
    assert each_once(lab, "web", REPLICAS)
