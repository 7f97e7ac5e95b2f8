"""Two hosts, one host: nobody is in charge, so nobody is missed."""

from cases import case, create, down, views_agree, wait_each_once
from lab import wait_for


def survivor_answers_everything(lab, survivor, victim):
    create(lab["h1"], "web", 4)
    wait_each_once(lab, "web", 4, 20)
    lab[victim].power_off()
    host = lab[survivor]
    wait_each_once(lab, "web", 4, 10, [host])
    wait_for(lambda: down(host, victim), 5)
    assert "Replicas" in host.kith_docker("service", "inspect", "web")
    create(host, "more", 2)
    wait_each_once(lab, "more", 2, 10, [host])
    host.kith_docker("service", "scale", "-d", "web=5")
    wait_each_once(lab, "web", 5, 10, [host])
    host.kith_docker("service", "rm", "more")
    lab[victim].power_on()
    lab[victim].start_agent()
    wait_for(lambda: views_agree(list(lab)), 15)
    wait_each_once(lab, "web", 5, 20)
    assert lab[victim].services() == ["web"]


@case(hosts=2)
def the_first_of_two_dies(lab):
    survivor_answers_everything(lab, "h2", "h1")


@case(hosts=2)
def the_second_of_two_dies(lab):
    survivor_answers_everything(lab, "h1", "h2")


@case(hosts=1)
def one_host_alone_is_a_cluster(lab):
    host = lab["h1"]
    assert host.nodes() == {"h1": "ready"}
    create(host, "web", 3)
    wait_each_once(lab, "web", 3, 10)
    host.kith_docker("service", "scale", "web=1")
    wait_each_once(lab, "web", 1, 10)
    host.kith_docker("service", "rm", "web")
    lab.wait_running("web", 0, 10)


@case(hosts=2)
def a_host_joins_a_running_cluster(lab):
    lab["h2"].stop_agent()
    create(lab["h1"], "web", 4)
    wait_each_once(lab, "web", 4, 15)
    lab["h2"].start_agent()
    wait_for(lambda: lab["h2"].services() == ["web"], 5)
    wait_for(lambda: lab["h2"].engine.running("web") == 2, 60, "half the work")
    wait_each_once(lab, "web", 4, 10)
