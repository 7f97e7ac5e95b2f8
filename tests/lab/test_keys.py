"""The cluster's key is rotated, and a host is banned, on real hosts."""

import json
import os

from cases import case, create, wait_each_once
from lab import wait_for


def keys(host):
    return json.loads(host.cli("key", "ls", "--format", "json"))


def primary(host):
    return keys(host)[0]["id"]


@case(hosts=3, seconds=90)
def the_key_is_rotated_and_a_host_is_banned(lab):
    h1, h2, h3 = lab["h1"], lab["h2"], lab["h3"]
    create(h1, "web", 3)
    wait_each_once(lab, "web", 3, 15)
    old = primary(h1)

    # One host is away while the key is rotated: the old one stays for it, and only for it.
    h3.stop_agent()
    wait_for(lambda: h1.nodes().get("h3") == "down", 15, "h3 is called down")
    said = h2.cli("key", "rotate")
    new = said.split()[0]
    assert new != old and "h3" in said, said
    wait_for(lambda: primary(h1) == primary(h2) == new, 5, "both use the new key")
    refused = h1.cli("key", "rm", old, check=False)
    assert refused.returncode == 1 and "h3" in refused.stderr and "--force" in refused.stderr, refused
    refused = h1.cli("key", "rm", new, check=False)
    assert refused.returncode == 1 and "primary" in refused.stderr, refused

    # It comes back with the old file, and is handed the ring; then the old key goes everywhere.
    h3.start_agent()
    wait_for(lambda: primary(h3) == new, 15, "h3 has the new key")
    wait_for(lambda: all([key["id"] for key in keys(host)] == [new] for host in lab), 15, "the old key is gone")
    ring, key = (os.path.join(h3.data_dir, name) for name in ("ring", "key"))
    assert os.stat(ring).st_mode & 0o777 == os.stat(key).st_mode & 0o777 == 0o600
    with open(key) as file:
        text = file.read().strip()
    assert text != lab.key

    # Started anew with the old file: the ring goes before it, and the agent says so.
    h1.stop_agent()
    h1.start_agent()
    wait_for(lambda: len(h1.ready_nodes()) == 3, 15, "h1 is back among the others")
    assert "goes before the key of" in h1.log()
    assert any("key" in line and new in line for line in h1.kith.get("/kith/v1/status")["warnings"])
    assert text not in json.dumps([h1.kith.get("/kith/v1/" + what) for what in ("status", "keys", "conflicts", "nodes")])

    # A live host is not removed, unless it is banned.
    refused = h2.cli("node", "rm", "h3", check=False)
    assert refused.returncode == 1 and "is not down" in refused.stderr and "--force" in refused.stderr, refused
    refused = h2.kith_docker("node", "rm", "h3", check=False)
    assert refused.returncode == 1 and "is not down and can't be removed" in refused.stderr, refused
    h2.kith_docker("node", "rm", "--force", "h3")
    rest = [h1, h2]
    wait_for(lambda: all(sorted(host.nodes()) == ["h1", "h2"] for host in rest), 10, "h3 is gone")
    wait_for(lambda: h3.nodes().get("h1") == h3.nodes().get("h2") == "down", 15, "h3 hears nobody")
    wait_for(lambda: all(primary(host) != new and len(keys(host)) == 1 for host in rest), 15, "the rest has another key")
    wait_each_once(lab, "web", 3, 15, rest)

    # Not with today's key either.
    with open(os.path.join(h1.data_dir, "key")) as file:
        today = file.read().strip()
    h3.stop_agent()
    before = h1.kith.get("/kith/v1/status")["counters"]["streams_unauthentic"]
    h3.start_agent(key=today)
    wait_for(lambda: h1.kith.get("/kith/v1/status")["counters"]["streams_unauthentic"] > before + 2, 15, "h3 knocks in vain")
    assert sorted(h1.nodes()) == ["h1", "h2"] and h3.nodes()["h1"] == "down"
