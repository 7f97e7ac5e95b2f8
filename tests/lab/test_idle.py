"""An idle cluster costs next to nothing, and the binary needs nothing."""

import os
import shutil
import subprocess
import time

from cases import case, create, wait_each_once
from host import kith_binary
from linux import cpu_seconds, io_counters, resident_bytes


@case(hosts=5, agents=False, seconds=240)
def five_idle_agents_rest(lab, long):
    for host in lab:
        host.write_config(log={"level": "info"})
    lab.start_agents()
    create(lab["h1"], "web", 10)
    wait_each_once(lab, "web", 10, 30)
    time.sleep(15)
    span = 600 if long else 60
    before = {host.name: (cpu_seconds(host.agent.pid), io_counters(host.agent.pid)["write_bytes"]) for host in lab}
    time.sleep(span)
    found = []
    for host in lab:
        cpu, disk = before[host.name]
        found.append((host.name, round(resident_bytes(host.agent.pid) / 1e6, 2), round(100 * (cpu_seconds(host.agent.pid) - cpu) / span, 3),
                      io_counters(host.agent.pid)["write_bytes"] - disk))
    print("        (host, MB resident, % of a core, bytes to disk): " + " ".join(map(str, found)), flush=True)
    assert all(megabytes < 8 for _, megabytes, _, _ in found), found
    assert all(written == 0 for _, _, _, written in found), found
    assert all(percent < 0.2 for _, _, percent, _ in found), found


@case(hosts=1, agents=False)
def the_binary_runs_in_an_empty_root(lab):
    host = lab["h1"]
    host.write_config()
    root = os.path.join(host.dir, "root")
    os.makedirs(root)
    shutil.copy(kith_binary(), os.path.join(root, "kith"))
    shutil.copy(host.config_path, os.path.join(root, "kith.yaml"))
    assert host.run("chroot", root, "/kith", "version").startswith("kith ")
    host.run("chroot", root, "/kith", "agent", "--check", "--config", "/kith.yaml")
    size = os.stat(kith_binary()).st_size
    assert size < 8e6, size
    headers = subprocess.run(["readelf", "-l", "-h", kith_binary()], check=True, capture_output=True, text=True).stdout
    assert "DYN" in headers and "INTERP" not in headers
