"""One cluster behind every socket, and the stock client feels at home."""

import hashlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import time

from cases import Skip, case, create, wait_each_once
from lab import wait_for

TABLES = {
    "node ls": ("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}} {{.EngineVersion}}"),
    "service ls": ("service", "ls", "--format", "{{.ID}} {{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}"),
    "service ps": ("service", "ps", "web", "--format", "{{.ID}} {{.Name}} {{.Image}} {{.Node}} {{.DesiredState}} {{.Error}}"),
    "service inspect": ("service", "inspect", "web"),
}


@case(hosts=5)
def every_socket_gives_the_same_answers(lab):
    create(lab["h1"], "web", 10)
    wait_each_once(lab, "web", 10, 20)
    for name, command in TABLES.items():
        def answers():
            return lab.each(lambda host: sorted(host.kith_docker(*command).splitlines()))

        wait_for(lambda: all(answer == answers_[0] for answer in answers_) if (answers_ := answers()) else False, 5, f"{name} equal everywhere")
    listing = lab["h3"].kith_docker("node", "ls")
    assert sum("*" in line for line in listing.splitlines()) == 1
    assert re.search(r"\*\s+h3\s", listing), listing
    assert len(lab["h1"].kith_docker("node", "ls").splitlines()) == 6
    assert json.loads(lab["h4"].kith_docker("service", "inspect", "web"))[0]["Spec"]["Mode"]["Replicated"]["Replicas"] == 10


@case(hosts=3, seconds=180)
def create_scale_update_and_rm_print_what_they_print_against_swarm(lab):
    host = lab["h2"]
    out = host.kith_docker("service", "create", "--name", "web", "--replicas", "3", lab.image)
    assert re.search(r"verify: Service (\w+ )?converged", out), out
    assert "task failure" not in out, out
    assert "3 out of 3 tasks" in out, out
    out = host.kith_docker("service", "scale", "web=5")
    assert "web scaled to 5" in out and "converged" in out, out
    assert lab.running("web") == 5
    out = lab["h1"].kith_docker("service", "update", "--env-add", "COLOUR=blue", "web")
    assert "converged" in out, out
    wait_each_once(lab, "web", 5, 20)
    for each in lab:
        for container in each.engine.containers("web"):
            assert "COLOUR=blue" in each.engine.get(f"/containers/{container['Id']}/json")["Config"]["Env"]
    assert lab["h3"].kith_docker("service", "rm", "web").strip() == "web"
    lab.wait_running("web", 0, 20)
    gone = host.kith_docker("service", "inspect", "web", check=False)
    assert gone.returncode == 1 and "no such service" in gone.stderr.lower(), gone.stderr


@case(hosts=3)
def a_move_while_the_client_waits_is_no_failure_to_it(lab):
    host = lab["h1"]
    create(host, "web", 3)
    wait_each_once(lab, "web", 3, 20)
    update = ["docker", "-H", f"unix://{host.kith_socket}", "service", "update", "web"]  # changes nothing, and verifies for 5 s
    client = subprocess.Popen(update, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=host.client_env())
    out = ""
    while "verify" not in out and (piece := client.stdout.readline()):
        out += piece
    host.kith_docker("node", "update", "--availability", "drain", "h3")
    out += client.communicate(timeout=30)[0]
    assert client.returncode == 0 and "converged" in out, out
    assert "task failure" not in out, out
    assert [each.engine.running("web") for each in lab][2] == 0


def at_a_terminal(host, *args, say=b"", until=b"", timeout=15):
    """Runs the stock client at a terminal of its own; what it printed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(["docker", "-H", f"unix://{host.kith_socket}", *args], stdin=slave, stdout=slave, stderr=slave,
                               env=host.client_env(TERM="xterm"), close_fds=True, start_new_session=True)
    os.close(slave)
    out, deadline, said = b"", time.monotonic() + timeout, False
    try:
        while time.monotonic() < deadline and process.poll() is None or select.select([master], [], [], 0)[0]:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    out += os.read(master, 4096)
                except OSError:
                    break
            if not said and b"#" in out:
                os.write(master, say)
                said = True
        assert process.wait(max(0.1, deadline - time.monotonic())) == 0, out
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert until in out, out
    return out


@case(hosts=2)
def run_exec_logs_and_build_reach_the_local_engine(lab):
    host = lab["h1"]
    assert host.kith_docker("run", "--rm", lab.image, "echo", "hello").strip() == "hello"
    assert host.kith_docker("run", "--rm", "-i", lab.image, "cat", text="through and back\n") == "through and back\n"
    host.kith_docker("run", "-d", "--name", "box", lab.image)
    assert host.docker("ps", "--format", "{{.Names}}").strip() == "box"
    assert host.kith_docker("exec", "box", "hostname").strip() == host.docker("exec", "box", "hostname").strip()
    failed = host.kith_docker("exec", "box", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 7
    at_a_terminal(host, "exec", "-it", "box", "sh", say=b"echo $((6*7)); exit\n", until=b"42")
    host.kith_docker("run", "--name", "talker", lab.image, "sh", "-c", "echo one; echo two >&2")
    logs = host.kith_docker("logs", "talker", check=False)
    assert (logs.stdout, logs.stderr) == ("one\n", "two\n")
    folder = os.path.join(host.dir, "context")
    os.makedirs(folder)
    with open(os.path.join(folder, "Dockerfile"), "w") as file:
        file.write(f"FROM {lab.image}\nRUN echo built > /data/note\n")
    built = subprocess.run(["docker", "-H", f"unix://{host.kith_socket}", "build", "-t", "made:1", folder], capture_output=True, text=True,
                           env=host.client_env(DOCKER_BUILDKIT="0"), timeout=60)
    assert built.returncode == 0, built.stderr
    assert host.kith_docker("run", "--rm", "made:1", "cat", "/data/note").strip() == "built"
    host.kith_docker("rm", "-f", "box", "talker")


def old_client():
    """A stock client that has BuildKit built in, as Debian's has; newer ones want the buildx plugin for it."""
    for path in ("/usr/bin/docker", shutil.which("docker")):
        if path and os.access(path, os.X_OK):
            said = subprocess.run([path, "version", "--format", "{{.Client.Version}}"], capture_output=True, text=True).stdout
            if (version := re.match(r"(\d+)\.", said)) and 18 <= int(version[1]) < 23:
                return path
    raise Skip("no docker client with BuildKit built in (18.09 to 20.10) is here")


@case(hosts=1)
def buildkit_builds_through_the_agent(lab):
    host, client = lab["h1"], old_client()
    folder = os.path.join(host.dir, "context")
    os.makedirs(folder)
    big = os.urandom(8 << 20)  # the session's stream must keep up with both directions
    with open(os.path.join(folder, "big"), "wb") as file:
        file.write(big)
    with open(os.path.join(folder, "Dockerfile"), "w") as file:
        file.write(f"FROM {lab.image} AS made\nCOPY big /data/big\nRUN md5sum /data/big | cut -c1-32 > /data/sum\n"
                   "FROM scratch\nCOPY --from=made /data/sum /sum\n")

    def build(*more):
        return subprocess.run([client, "-H", f"unix://{host.kith_socket}", "build", "--progress", "plain", *more, folder], capture_output=True,
                              text=True, env=host.client_env(DOCKER_BUILDKIT="1"), timeout=60)

    built = build("-t", "made:1", "--target", "made")
    assert built.returncode == 0, built.stderr
    assert "exporting to image" in built.stderr, built.stderr
    assert host.kith_docker("run", "--rm", "made:1", "cat", "/data/sum").strip() == hashlib.md5(big).hexdigest()
    out = os.path.join(host.dir, "out")
    built = build("--output", out)  # the result comes back over the session
    assert built.returncode == 0, built.stderr
    with open(os.path.join(out, "sum")) as file:
        assert file.read().strip() == hashlib.md5(big).hexdigest()
    with open(os.path.join(folder, "Dockerfile"), "a") as file:
        file.write("COPY nowhere /\n")
    failed = build()
    assert failed.returncode == 1 and "nowhere" in failed.stderr, failed.stderr


@case(hosts=3)
def a_copy_on_every_host(lab):
    lab["h1"].kith_docker("service", "create", "-d", "--name", "each", "--mode", "global", lab.image)
    lab.wait_running("each", 3, 15)
    assert [host.engine.running("each") for host in lab] == [1, 1, 1]
    lab.cut("h3")
    time.sleep(4)
    assert [host.engine.running("each") for host in lab.others("h3")] == [1, 1]
    lab.heal("h3")
    wait_for(lambda: [host.engine.running("each") for host in lab] == [1, 1, 1], 15)


@case(hosts=3)
def kiths_own_commands_show_the_cluster(lab):
    create(lab["h1"], "web", 3)
    wait_each_once(lab, "web", 3, 15)
    host = lab["h2"]
    assert len(json.loads(host.cli("node", "ls", "--format", "json"))) == 3
    assert [one["name"] for one in json.loads(host.cli("service", "ls", "--format", "json"))] == ["web"]
    assert len(json.loads(host.cli("service", "ps", "web", "--format", "json"))) == 3
    shown = json.loads(host.cli("ps", "--format", "json"))
    assert sorted(one["slot"] for one in shown) == ["web.1", "web.2", "web.3"]
    for one in shown:
        assert lab[one["node"]].engine.get(f"/containers/{one['container']}/json")
    story = json.loads(host.cli("explain", "web.2", "--format", "json"))
    assert story["slot"] == "web.2" and any(step["chosen"] for step in story["walk"]) or story["seats"]
    assert json.loads(host.cli("status", "--format", "json"))["nodes"] == 3
    for command in (("status",), ("node", "ls"), ("service", "ls"), ("service", "ps", "web"), ("ps",), ("explain", "web.1"), ("conflicts",)):
        assert host.cli(*command), command


@case(hosts=3)
def a_host_that_leaves_hands_its_work_over(lab):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 15)
    lab["h3"].cli("leave")
    wait_each_once(lab, "web", 6, 15, lab.others("h3"))
    assert lab["h3"].engine.running("web") == 0
    lab["h3"].agent.wait(10)
    wait_for(lambda: lab["h1"].nodes().get("h3", "down") == "down", 5)
    lab["h1"].kith_docker("node", "rm", "h3")
    wait_for(lambda: sorted(lab["h2"].nodes()) == ["h1", "h2"], 5)
