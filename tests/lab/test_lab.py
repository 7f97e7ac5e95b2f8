"""The lab itself: what it says is cut is cut, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time

import cleanup
from cases import case
from lab import HERE, wait_for


RECEIVE = """
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", 9000))
receiver.settimeout(5)
print("bound", flush=True)
print(receiver.recv(99).decode(), flush=True)
"""
SEND = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"through", (sys.argv[1], 9000))
"""


def reaches(source, target):
    return "1 packets received" in source.run("busybox", "ping", "-c", "1", "-W", "1", target.address, check=False)


@case(hosts=3, agents=False)
def a_cut_host_is_alone_and_a_healed_one_is_not(lab):
    assert reaches(lab["h1"], lab["h2"])
    lab.cut("h2")
    assert not reaches(lab["h1"], lab["h2"])
    assert reaches(lab["h1"], lab["h3"])
    lab.heal("h2")
    wait_for(lambda: reaches(lab["h1"], lab["h2"]), 5)


@case(hosts=3, agents=False)
def a_partition_parts_its_sides_only(lab):
    lab.cut_between(["h1"], ["h2", "h3"])
    assert not reaches(lab["h1"], lab["h2"]) and not reaches(lab["h3"], lab["h1"])
    assert reaches(lab["h2"], lab["h3"])
    lab.heal_all()
    wait_for(lambda: reaches(lab["h1"], lab["h2"]), 5)


@case(hosts=2, agents=False)
def a_one_way_cut_lets_the_other_way_through(lab):
    lab["h1"].run("busybox", "ping", "-c", "1", lab["h2"].address)  # both know each other's hardware address
    receiver = lab["h2"].spawn(sys.executable, "-c", RECEIVE, stdout=subprocess.PIPE)
    assert receiver.stdout.readline() == b"bound\n"
    lab.cut_one_way("h2", "h1")
    lab["h1"].run(sys.executable, "-c", SEND, lab["h2"].address)
    assert receiver.stdout.readline() == b"through\n"
    receiver.stdout.close()
    assert not reaches(lab["h1"], lab["h2"])


@case(hosts=2, agents=False)
def a_share_of_the_packets_is_lost(lab):
    lab["h1"].run("busybox", "ping", "-c", "1", lab["h2"].address)  # both know each other's hardware address
    lab.lose(50, ["h1"], ["h2"], both_ways=False)
    out = lab["h1"].run("busybox", "ping", "-i", "0.01", "-c", "200", "-W", "1", lab["h2"].address, check=False)
    received = int(out.split(" packets received")[0].split()[-1])
    assert 60 < received < 140, out


@case(hosts=2, agents=False)
def a_frozen_host_stands_still_and_goes_on(lab):
    lab["h1"].freeze()
    assert not lab["h1"].engine.answers(timeout=0.5)
    assert lab["h2"].engine.answers()
    lab["h1"].thaw()
    assert lab["h1"].engine.answers()


@case(hosts=1, agents=False)
def docker_restarts_and_the_machine_too(lab):
    host = lab["h1"]
    box = host.docker("run", "-d", "--restart", "always", lab.image).strip()
    host.stop_docker(kill=True)
    host.start_docker()
    assert host.engine.get(f"/containers/{box}/json")
    host.power_off()
    assert not host.engine.answers()
    host.power_on()
    wait_for(lambda: host.engine.get(f"/containers/{box}/json")["State"]["Running"], 10)


def _other_lab(number):
    # Who runs this in the background has SIGINT ignored, and children inherit that.
    process = subprocess.Popen([sys.executable, "-u", os.path.join(HERE, "lab.py"), "1"], stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process.stdout.readline()
    name = process.stdout.readline().split("unix://")[1].split("/h1/")[0].split("/")[-1]
    process.send_signal(number)
    process.wait(20)
    process.stdout.close()
    return name


@case(hosts=1, agents=False)
def an_interrupted_lab_cleans_up(lab):
    for number in (signal.SIGINT, signal.SIGTERM):
        assert cleanup.leaks(_other_lab(number)) == []


@case(hosts=1, agents=False)
def a_killed_lab_is_reaped(lab):
    name = _other_lab(signal.SIGKILL)
    assert name in cleanup.reap()
    assert cleanup.leaks(name) == []
