"""The engine restarts, or goes away, under a living agent."""

from cases import case, create, wait_each_once, wait_settled
from lab import wait_for


@case(hosts=3)
def docker_restarts_and_its_work_is_back_at_once(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    for kill in (False, True):
        lab["h2"].restart_docker(kill)
        took = wait_each_once(lab, "web", 6, 5)
        print(f"        {'kill -9' if kill else 'stop'} and start: {took:.2f} s", flush=True)
        wait_settled(lab, "web", 6, 30)


@case(hosts=3)
def docker_stopped_for_good_moves_the_work(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 20)
    lab["h2"].stop_docker()
    survivors = lab.others("h2")
    wait_each_once(lab, "web", 6, 20, survivors)

    def shown():
        states = {one["name"]: one["state"] for one in lab["h1"].kith.get("/kith/v1/nodes")}
        return states["h2"] == "engine down"

    wait_for(shown, 10, "h2 shows engine down")
    assert len(lab["h2"].kith.get("/nodes")) == 3  # the agent there still answers, and gossips
    create(lab["h2"], "more", 2)
    wait_each_once(lab, "more", 2, 15, survivors)
    lab["h2"].start_docker()
    wait_for(lambda: lab["h1"].nodes()["h2"] == "ready", 15)
    wait_each_once(lab, "web", 6, 30)


@case(hosts=2)
def an_agent_starts_before_its_engine(lab):
    host = lab["h1"]
    host.stop_agent()
    host.stop_docker()
    host.start_agent()
    assert len(host.kith.get("/nodes")) == 2
    host.start_docker()
    wait_for(lambda: host.nodes()["h1"] == "ready", 15)
    create(host, "web", 4)
    wait_each_once(lab, "web", 4, 15)
