"""The agent dies: its containers do not, and what it acknowledged is kept."""

import random
import subprocess
import threading
import time

from cases import case, containers, create, views_agree, wait_each_once
from lab import wait_for


@case(hosts=3)
def a_killed_agent_adopts_what_runs(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    before = containers(lab, "web")
    for host in lab:
        host.kill_agent()
        host.start_agent()
    wait_for(lambda: views_agree(list(lab)), 15)
    time.sleep(8)  # nothing may happen: there is no condition to poll for
    assert containers(lab, "web") == before


@case(hosts=3)
def an_upgrade_restarts_nothing(lab):
    """An orderly stop and start, with the engine's containers going on meanwhile."""
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    before = containers(lab, "web")
    assert lab["h2"].stop_agent() == 0
    assert lab["h2"].engine.running("web") == len([one for one in before if one in containers(lab, "web", [lab["h2"]])])
    lab["h2"].start_agent()
    wait_for(lambda: views_agree(list(lab)), 15)
    time.sleep(5)
    assert containers(lab, "web") == before


@case(hosts=3)
def all_agents_killed_at_once(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    before = containers(lab, "web")
    for host in lab:
        host.kill_agent()
    lab["h1"].engine.call("POST", f"/containers/{lab['h1'].engine.containers('web')[0]['Id']}/kill")
    lab.start_agents()
    wait_each_once(lab, "web", 6, 15)
    kept = set(before) & set(containers(lab, "web"))
    assert len(kept) == 5, kept
    assert {one: before[one] for one in kept}.items() <= containers(lab, "web").items()


@case(hosts=3, seconds=400)
def kills_at_any_point_lose_nothing_acknowledged(lab, long):
    host, wanted, unsure = lab["h1"], {}, set()
    for round_ in range(50 if long else 10):
        name = f"s{random.randrange(4)}"
        if name not in wanted:
            action, command = "create", ("service", "create", "-d", "--name", name, "--replicas", "1", lab.image)
        elif random.random() < 0.5:
            action, command = "scale", ("service", "scale", "-d", f"{name}={random.choice([0, 1, 2])}")
        else:
            action, command = "rm", ("service", "rm", name)
        process = subprocess.Popen(["docker", "-H", f"unix://{host.kith_socket}", *command], env=host.client_env(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        killer = threading.Timer(random.uniform(0.0, 0.25), host.kill_agent)
        killer.start()
        process.communicate(timeout=30)
        killer.join()
        if process.returncode == 0:
            unsure.discard(name)
            if action == "rm":
                wanted.pop(name)
            else:
                wanted[name] = 1 if action == "create" else int(command[-1].split("=")[1])
        else:
            unsure.add(name)  # it may have been taken in: either answer is right
        host.start_agent()
        wait_for(lambda: views_agree(list(lab)), 20, f"one view after kill {round_}")
        for one in list(unsure):
            if one in host.services():
                wanted[one] = host.kith.get(f"/services/{one}")["Spec"]["Mode"]["Replicated"]["Replicas"]
            else:
                wanted.pop(one, None)
            unsure.discard(one)
        assert host.services() == sorted(wanted), (round_, action, name)
        for each in lab:
            for service in each.kith.get("/services"):
                assert service["Spec"]["Mode"]["Replicated"]["Replicas"] == wanted[service["Spec"]["Name"]], (round_, action, name)
    for name, count in wanted.items():
        wait_each_once(lab, name, count, 20)
    wait_for(lambda: lab.running() == sum(wanted.values()), 20, "nothing else runs")
