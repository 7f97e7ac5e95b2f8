"""Each mistake: one clear sentence, and everything else goes on."""

import json
import os
import secrets
import base64
import shutil
import socket
import time

from cases import case, containers, create, down, views_agree, wait_each_once
from host import kith_binary
from lab import wait_for


def refused(host, *words, timeout=10, text=None, **overrides):
    """The agent ends by itself, not with 0, and says every word in few lines."""
    host.write_config(text, **overrides)
    process = host.spawn(kith_binary(), "agent", "--config", host.config_path, stdout=-1, stderr=-2, text=True)
    try:
        out, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    assert process.returncode not in (0, None) and process.returncode > 0, (process.returncode, out)
    for word in words:
        assert word.lower() in out.lower(), (word, out)
    assert len(out.strip().splitlines()) <= 3, out
    return out


@case(hosts=1, agents=False)
def a_wrong_configuration_is_refused_with_its_line(lab):
    host = lab["h1"]
    text = json.dumps(host.config(), indent=2)
    refused(host, "kith.yaml:", "gosip", text=text.replace('"log"', '"gosip"'))
    refused(host, "kith.yaml:", "port", gossip={"port": "seven"})
    refused(host, "kith.yaml:", "port", gossip={"port": 70000})
    refused(host, "kith.yaml:", "profile", gossip={"profile": "moon"})
    refused(host, "kith.yaml:", "key", "32", key=base64.b64encode(b"short").decode())
    refused(host, "kith.yaml:", "key", key="not base64!")
    refused(host, "kith.yaml", "key", key=None)
    refused(host, "kith.yaml", text="cluster: [\n")
    refused(host, "10.99.0.1", node={"name": "h1", "address": "10.99.0.1"})
    refused(host, "label", node={"name": "h1", "address": host.address, "labels": "ssd"})
    missing = host.run(kith_binary(), "agent", "--config", "/nowhere/kith.yaml", check=False)
    assert missing == ""
    host.write_config()
    host.run(kith_binary(), "agent", "--check", "--config", host.config_path)
    assert not os.path.exists(host.data_dir), "--check touched something"


@case(hosts=1)
def what_is_taken_is_named(lab):
    host = lab["h1"]
    other = {"data_dir": host.data_dir + "2", "api": {"socket": host.kith_socket + "2", "listen": "off"}}
    refused(host, host.data_dir, api={"socket": host.kith_socket + "2", "listen": "off"}, gossip={"port": 7200})
    refused(host, "7117", **other)
    refused(host, "7118", **other | {"api": {"socket": host.kith_socket + "2", "listen": "127.0.0.1:7118"}, "gossip": {"port": 7200}})
    refused(host, host.kith_socket, **other | {"api": {"socket": host.kith_socket, "listen": "off"}, "gossip": {"port": 7200}})
    assert host.nodes() == {"h1": "ready"}


@case(hosts=2)
def a_data_dir_of_another_cluster_is_refused(lab):
    host = lab["h2"]
    host.stop_agent()
    refused(host, "lab", "elsewhere", cluster="elsewhere")
    host.write_config()
    host.start_agent()
    wait_for(lambda: views_agree(list(lab)), 15)


@case(hosts=2)
def a_corrupt_database_is_kept_aside_and_named(lab):
    host = lab["h2"]
    create(host, "web", 2)
    wait_each_once(lab, "web", 2, 15)
    host.stop_agent()
    databases = [os.path.join(folder, name) for folder, _, names in os.walk(host.data_dir) for name in names
                 if name.endswith((".db", ".sqlite", ".sqlite3"))]
    assert databases, os.listdir(host.data_dir)
    for path in databases:
        for tail in ("-wal", "-shm"):
            if os.path.exists(path + tail):
                os.unlink(path + tail)
        with open(path, "r+b") as file:
            file.write(secrets.token_bytes(os.stat(path).st_size))
    host.start_agent()
    kept = [name for name in os.listdir(host.data_dir) if "corrupt" in name or "broken" in name]
    assert kept, os.listdir(host.data_dir)
    assert any(name in host.log() for name in kept), host.log()[-2000:]
    wait_for(lambda: views_agree(list(lab)), 15)
    wait_each_once(lab, "web", 2, 15)


@case(hosts=1, agents=False)
def a_key_that_others_can_read_is_warned_of(lab):
    host = lab["h1"]
    key_file = os.path.join(host.dir, "key")
    with open(key_file, "w") as file:
        file.write(lab.key + "\n")
    os.chmod(key_file, 0o644)
    host.write_config(key=None, key_file=key_file)
    host.start_agent()
    wait_for(lambda: key_file in host.log() and "read" in host.log(), 5, "a warning")
    host.stop_agent()
    os.chmod(key_file, 0o600)
    os.truncate(os.path.join(host.dir, "kith.log"), 0)
    host.start_agent()
    assert "can read" not in host.log()


@case(hosts=3)
def a_wrong_cluster_key_gets_nothing_and_is_counted(lab):
    host = lab["h3"]
    host.stop_agent()
    shutil.rmtree(host.data_dir)
    host.write_config(key=base64.b64encode(secrets.token_bytes(32)).decode())
    host.start_agent()
    wait_for(lambda: "nobody answers with this key" in host.log(), 20, "the newcomer says so")
    assert list(host.nodes()) == ["h3"]

    def counted():
        counters = lab["h1"].kith.get("/kith/v1/status")["counters"]
        return any("unauth" in name and count > 0 for name, count in counters.items())

    wait_for(counted, 10, "the members count it")
    wait_for(lambda: sorted(lab["h1"].ready_nodes()) == ["h1", "h2"], 10, "the members are those with the key")


@case(hosts=3)
def two_hosts_of_one_name_are_both_kept(lab):
    host = lab["h3"]
    host.stop_agent()
    shutil.rmtree(host.data_dir)
    host.write_config(node={"name": "h1", "address": host.address})
    host.start_agent()

    def both():
        nodes = lab["h2"].kith.get("/nodes")
        twins = [one for one in nodes if one["Description"]["Hostname"] == "h1" and one["Status"]["State"] == "ready"]
        return len(twins) == 2 and len({one["ID"] for one in twins}) == 2

    wait_for(both, 10, "two nodes called h1, told apart by id")
    wait_for(lambda: any("h1" in line and "name" in line for line in lab["h2"].kith.get("/kith/v1/status")["warnings"]), 10, "a warning")
    create(lab["h2"], "web", 6)
    lab.wait_running("web", 6, 15)


@case(hosts=3)
def an_unknown_image_fails_alone(lab):
    lab["h1"].kith_docker("service", "create", "-d", "--name", "ghost", "nowhere.invalid/ghost:1")
    create(lab["h1"], "web", 3)
    wait_each_once(lab, "web", 3, 10)

    def said():
        out = lab["h2"].kith_docker("service", "ps", "ghost", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
        return "nowhere.invalid" in out and out

    wait_for(said, 30, "the registry's words")
    settled = containers(lab, "web")

    def waits():
        return any(task["Status"]["State"] == "pending" and "every node refused" in task["Status"].get("Err", "") for task in lab["h3"].tasks("ghost"))

    wait_for(waits, 30, "the reason why it waits")
    assert containers(lab, "web") == settled, "what runs was moved for what does not"
    lab["h3"].kith_docker("service", "rm", "ghost")
    wait_for(lambda: all(host.services() == ["web"] for host in lab), 5)


@case(hosts=3)
def what_fits_nowhere_waits_with_the_reason(lab):
    create(lab["h1"], "picky", 1, options=("--constraint", "node.labels.disk==gold"))
    create(lab["h1"], "huge", 1, options=("--reserve-memory", "900g"))
    create(lab["h1"], "web", 3)
    wait_each_once(lab, "web", 3, 10)
    for name, word in (("picky", "node.labels.disk"), ("huge", "memory")):
        wait_for(lambda: any(task["Status"]["State"] == "pending" for task in lab["h2"].tasks(name)), 10, f"{name} is pending")
        out = lab["h2"].kith_docker("service", "ps", name, "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
        assert "ending" in out and word in out.lower(), out
        wait_for(lambda: name in lab["h3"].services(), 5, f"{name} is known on the third host")
        story = lab["h3"].cli("explain", f"{name}.1")
        assert all(host.name in story for host in lab) and word in story.lower(), story
    lab["h1"].kith_docker("node", "update", "--label-add", "disk=gold", "h2")
    wait_each_once(lab, "picky", 1, 10, [lab["h2"]])


def _send(host, data, read=True):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(host.kith_socket)
    try:
        for start in range(0, len(data), 1 << 16):
            client.sendall(data[start:start + (1 << 16)])
        return client.recv(4096) if read else b""
    except (BrokenPipeError, ConnectionResetError):
        return b"closed"
    finally:
        client.close()


@case(hosts=1)
def garbage_at_the_socket_hurts_nobody(lab):
    host = lab["h1"]
    for garbage in (b"\0" * 100, secrets.token_bytes(5000), b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
                    b"POST /services/create HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{{{",
                    b"POST /services/create HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                    b"POST /services/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = _send(host, garbage)
        assert answer in (b"", b"closed") or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    head = b"POST /services/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    before = resident(host)
    answer = _send(host, head % 100_000_000 + b"x" * 100_000_000)
    assert answer == b"closed" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert resident(host) - before < 64 << 20
    for _ in range(50):
        _send(host, head % 5000 + b"{", read=False)  # hangs up half-way
    assert host.nodes() == {"h1": "ready"}
    for body, status in ((b"null", 400), (b"[]", 400), (b'{"Name": 7}', 400), (b'{"Name": "../x", "TaskTemplate": {}}', 400)):
        code, answer = host.kith.raw("POST", "/services/create", body, {"Content-Type": "application/json"})
        assert code == status and json.loads(answer)["message"], (code, answer)
    create(host, "web", 2)
    wait_each_once(lab, "web", 2, 10)


def resident(host):
    from linux import resident_bytes
    return resident_bytes(host.agent.pid)


@case(hosts=2)
def garbage_on_the_wire_hurts_nobody(lab):
    script = ("import os,socket,sys\n"
              "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
              "for i in range(2000): u.sendto(os.urandom(1+i%1400),(sys.argv[1],7117))\n"
              "for i in range(50):\n"
              "  t=socket.create_connection((sys.argv[1],7117)); t.sendall(os.urandom(2000)); t.close()\n")
    lab["h2"].run("python3", "-c", script, lab["h1"].address, check=False)
    time.sleep(2)
    assert sorted(lab["h1"].ready_nodes()) == ["h1", "h2"]
    assert not down(lab["h2"], "h1")
    assert lab["h1"].agent.poll() is None
