"""Two halves live on, and are one again: nothing acknowledged is lost, nothing removed comes back."""

import json
import time

from cases import case, create, down, each_once, views_agree, wait_each_once
from lab import wait_for

LEFT, RIGHT = ["h1", "h2"], ["h3", "h4", "h5"]


def part(lab):
    lab.cut_between(LEFT, RIGHT)
    wait_for(lambda: all(down(lab[name], *RIGHT) for name in LEFT) and all(down(lab[name], *LEFT) for name in RIGHT), 15,
             "each side gave the other up")


def conflicts(host):
    return json.loads(host.cli("conflicts", "--format", "json"))


@case(hosts=5, seconds=180)
def changes_of_both_sides_are_kept(lab):
    left, right = [lab[name] for name in LEFT], [lab[name] for name in RIGHT]
    for name in ("keep", "gone"):
        create(lab["h1"], name, 4)
        wait_each_once(lab, name, 4, 20)
    part(lab)
    create(lab["h1"], "red", 2)
    create(lab["h3"], "blue", 3)
    lab["h2"].kith_docker("service", "scale", "-d", "keep=6")
    lab["h4"].kith_docker("service", "rm", "gone")
    wait_each_once(lab, "red", 2, 15, left)
    wait_each_once(lab, "blue", 3, 15, right)
    wait_each_once(lab, "keep", 6, 15, left)
    lab.heal_all()
    begun = time.monotonic()
    wait_for(lambda: views_agree(list(lab)), 30, "one view of everything")
    met = time.monotonic() - begun
    assert all(host.services() == ["blue", "keep", "red"] for host in lab), [host.services() for host in lab]
    for name, count in (("red", 2), ("blue", 3), ("keep", 6), ("gone", 0)):
        wait_each_once(lab, name, count, 20)
    print(f"        one view after {met:.2f} s, each slot once after {time.monotonic() - begun:.2f} s", flush=True)
    time.sleep(5)
    assert all(host.services() == ["blue", "keep", "red"] for host in lab)
    assert lab.running("gone") == 0


@case(hosts=5, seconds=180)
def one_name_on_both_sides_is_one_service_and_a_conflict(lab):
    create(lab["h1"], "edited", 2)
    wait_each_once(lab, "edited", 2, 20)
    part(lab)
    create(lab["h1"], "both", 2, options=("--env", "SIDE=left"))
    create(lab["h3"], "both", 3, options=("--env", "SIDE=right"))
    lab["h1"].kith_docker("service", "update", "-d", "--env-add", "SIDE=left", "edited")
    lab["h4"].kith_docker("service", "update", "-d", "--env-add", "SIDE=right", "edited")
    lab.heal_all()
    wait_for(lambda: views_agree(list(lab)), 10, "one view of everything")
    for name in ("both", "edited"):
        specs = {json.dumps(json.loads(host.kith_docker("service", "inspect", name))[0]["Spec"], sort_keys=True) for host in lab}
        assert len(specs) == 1, specs
        wait_for(lambda: all(any(name in one["key"] for one in conflicts(host)) for host in lab), 5, f"{name} among everybody's conflicts")
    winner = json.loads(lab["h1"].kith_docker("service", "inspect", "both"))[0]["Spec"]["Mode"]["Replicated"]["Replicas"]
    wait_each_once(lab, "both", winner, 15)
    wait_each_once(lab, "edited", 2, 15)


@case(hosts=5, seconds=240)
def a_long_partition_still_merges(lab, long):
    create(lab["h1"], "web", 5)
    wait_each_once(lab, "web", 5, 20)
    part(lab)
    time.sleep(180 if long else 40)
    lab.heal_all()
    wait_for(lambda: views_agree(list(lab)), 20, "one view of everything")
    wait_each_once(lab, "web", 5, 20)


@case(hosts=5, seconds=240)
def a_side_that_was_restarted_alone_still_merges(lab):
    create(lab["h1"], "web", 5)
    wait_each_once(lab, "web", 5, 20)
    part(lab)
    for name in LEFT:
        lab[name].kill_agent()
        lab[name].start_agent()
    lab.heal_all()
    wait_for(lambda: views_agree(list(lab)), 20, "one view of everything")
    wait_each_once(lab, "web", 5, 20)


@case(hosts=3, seconds=150)
def each_host_alone_and_then_together(lab):
    create(lab["h1"], "web", 3)
    wait_each_once(lab, "web", 3, 20)
    lab.cut_between(["h1"], ["h2", "h3"])
    lab.cut_between(["h2"], ["h3"])
    for host in lab:
        wait_each_once(lab, "web", 3, 20, [host])
    lab.heal_all()
    wait_each_once(lab, "web", 3, 20)
    assert each_once(lab, "web", 3)
