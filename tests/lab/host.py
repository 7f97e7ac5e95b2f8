"""One Docker host of the lab: its namespaces, its dockerd, its kith agent."""

import json
import os
import signal
import socket
import subprocess
import time

from docker_http import Engine
from linux import spawn_in

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class CommandFailed(Exception):
    def __init__(self, argv, status, out, error):
        super().__init__(f"`{' '.join(argv)}` ended with {status}: {(error or out).strip()[-1500:]}")
        self.status, self.out, self.error = status, out, error


def kith_binary():
    path = os.environ.get("KITH_BINARY")
    if path:
        return path
    for place in ("src/cli/kith", "src/agent/kith", "src/kith", "kith"):
        if os.access(found := os.path.join(REPO, "build", place), os.X_OK):
            return found
    raise FileNotFoundError("no kith in build/: `./run build` first, or name it in KITH_BINARY")


class Host:
    def __init__(self, lab, name, index):
        self.lab = lab
        self.name = name
        self.address = f"{lab.subnet}.{index}"
        self.port = f"p{index}"  # on the switch
        self.dir = os.path.join(lab.dir, name)
        self.docker_socket = os.path.join(self.dir, "docker.sock")
        self.kith_socket = os.path.join(self.dir, "kith.sock")
        self.data_dir = os.path.join(self.dir, "kith")
        self.config_path = os.path.join(self.dir, "kith.yaml")
        self.engine = Engine(self.docker_socket)
        self.kith = Engine(self.kith_socket)
        self.init = self.dockerd = self.agent = None
        self.agent_started = 0.0
        self.spawned = []
        os.makedirs(self.dir)
        self.procs = lab.cgroups.add(name)

    # The machine

    def power_on(self):
        self.init = self.lab._init(self.name)
        peer = f"/proc/{self.init.pid}/ns/net"
        # After a power cut the kernel may still be taking the old cable down.
        self.lab.on_switch("sh", "-c", f"ip link del {self.port} 2>/dev/null; true")
        self.lab.on_switch("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", str(self.init.pid))
        self.lab.on_switch("ip", "link", "set", self.port, "master", "br0", "up")
        batch = (f"link set lo up\nlink set eth0 up\naddr add {self.address}/24 dev eth0\n"
                 "route add unreachable default metric 9999\n")
        subprocess.run(["nsenter", f"--net={peer}", "ip", "-batch", "-"], input=batch, text=True, check=True, capture_output=True)
        self.start_docker()

    def power_off(self):
        """Like pulling the plug: every process of the host ends at once, the disk stays."""
        self.agent = self.dockerd = None
        if self.init:
            self.init.kill()
            for process in self.spawned:  # process 1 is not gone before its namespace is empty, of our zombies too
                process.wait()
            self.spawned.clear()
            self.init.wait()
            for pipe in (self.init.stdin, self.init.stdout, self.init.stderr):
                pipe.close()
            self.init = None
            self._forget_containers()

    def _forget_containers(self):
        for path in (self.docker_socket, self.kith_socket):
            if os.path.exists(path):
                os.unlink(path)

    def spawn(self, *argv, **popen):
        """Starts a program on this host; its Popen."""
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = spawn_in(self.init.pid, list(argv), self.procs, start_new_session=True, **popen)
        self.spawned = [other for other in self.spawned if other.poll() is None] + [process]
        return process

    def run(self, *argv, timeout=30, check=True):
        """Runs a program on this host to its end; its standard output."""
        process = self.spawn(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, error = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if check and process.returncode:
            raise CommandFailed(argv, process.returncode, out, error)
        return out

    def freeze(self):
        """Every process of the host stands still: agent, engine, containers."""
        self.lab.cgroups.freeze(self.name, True)

    def thaw(self):
        self.lab.cgroups.freeze(self.name, False)

    def busy(self, cores=None, nice=-20):
        """Loops that take the CPU from everybody else, one a core; the Popens, to be killed."""
        script = "while :; do :; done"
        return [self.spawn("nice", "-n", str(nice), "busybox", "sh", "-c", script) for _ in range(cores or os.cpu_count())]

    # Docker

    def start_docker(self, wait=True):
        log = open(os.path.join(self.dir, "docker.log"), "ab")
        argv = ["dockerd", "--data-root", f"{self.dir}/docker", "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid",
                "-H", f"unix://{self.docker_socket}", "-H", "unix:///run/docker.sock", "--storage-driver", "overlay2",
                "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", self.lab.cgroups.docker_parent(self.name),
                "--log-level", "warn"]
        with log:
            self.dockerd = self.spawn(*argv, stdout=log, stderr=log)
        if wait:
            self.wait_docker()

    def wait_docker(self, timeout=30.0):
        deadline = time.monotonic() + timeout
        while not self.engine.answers():
            if self.dockerd.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.dir, "docker.log"), errors="replace") as log:
                    raise RuntimeError(f"{self.name}: dockerd does not answer:\n{log.read()[-2000:]}")
            time.sleep(0.02)

    def stop_docker(self, kill=False, timeout=30.0):
        """An orderly stop also stops the containers; a kill leaves them running."""
        if self.dockerd and self.dockerd.poll() is None:
            self.dockerd.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self.dockerd.wait(timeout)
        self.dockerd = None

    def restart_docker(self, kill=False):
        self.stop_docker(kill)
        self.start_docker()

    def import_image(self, tar, name=None):
        command = ["docker", "-H", f"unix://{self.docker_socket}", "import", "-c", 'CMD ["/lab/term"]', "-", name or self.lab.image]
        done = subprocess.run(command, input=tar, capture_output=True, env=self.client_env())
        if done.returncode:
            raise RuntimeError(f"{self.name}: docker import: {done.stderr.decode()}")

    def client_env(self, **more):
        env = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        return env | {"DOCKER_CONFIG": os.path.join(self.lab.dir, "docker-config")} | more

    def _client(self, socket_path, args, timeout, check, text=None):
        done = subprocess.run(["docker", "-H", f"unix://{socket_path}", *args], input=text or "", capture_output=True,
                              text=True, timeout=timeout, env=self.client_env())
        if check and done.returncode:
            raise CommandFailed(["docker", *args], done.returncode, done.stdout, done.stderr)
        return done if not check else done.stdout

    def docker(self, *args, timeout=60, check=True, text=None):
        """The stock client at this host's own engine; its output, or with check=False the CompletedProcess."""
        return self._client(self.docker_socket, args, timeout, check, text)

    def kith_docker(self, *args, timeout=60, check=True, text=None):
        """The stock client at this host's kith agent."""
        return self._client(self.kith_socket, args, timeout, check, text)

    # kith

    def config(self, **overrides):
        """kith.yaml as a dictionary; JSON is YAML. Overrides replace whole top-level keys, None drops one."""
        config = {
            "cluster": "lab", "key": self.lab.key, "join": [host.address for host in self.lab],
            "data_dir": self.data_dir,
            "node": {"name": self.name, "address": self.address},
            "engine": {"docker": f"unix://{self.docker_socket}"},
            "api": {"socket": self.kith_socket, "listen": "127.0.0.1:7118"},
            "log": {"level": os.environ.get("KITH_LOG", "debug")},
        } | overrides
        return {key: value for key, value in config.items() if value is not None}

    def write_config(self, text=None, **overrides):
        with open(os.path.join(self.dir, "kith.yaml"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text if text is not None else json.dumps(self.config(**overrides), indent=2))

    def start_agent(self, wait=True, timeout=20.0, **overrides):
        if overrides or not os.path.exists(self.config_path):
            self.write_config(**overrides)
        with open(os.path.join(self.dir, "kith.log"), "ab") as log:
            self.agent = self.spawn(kith_binary(), "agent", "--config", self.config_path, stdout=log, stderr=log)
        self.agent_started = time.monotonic()
        if wait:
            deadline = time.monotonic() + timeout
            while not self.kith.answers():
                if self.agent.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name}: the agent does not answer (exit {self.agent.poll()}):\n{self.log()[-2000:]}")
                time.sleep(0.01)

    def kill_agent(self, number=signal.SIGKILL, timeout=20.0):
        self.agent.send_signal(number)
        return self.agent.wait(timeout)

    def stop_agent(self, timeout=20.0):
        """An orderly stop; the exit status."""
        return self.kill_agent(signal.SIGTERM, timeout)

    def log(self):
        try:
            with open(os.path.join(self.dir, "kith.log"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def cli(self, *args, timeout=30, check=True):
        """kith's own command at this host's agent; its output, or with check=False the CompletedProcess."""
        done = subprocess.run([kith_binary(), *args], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, env=os.environ | {"KITH_SOCKET": self.kith_socket})
        if check and done.returncode:
            raise CommandFailed(["kith", *args], done.returncode, done.stdout, done.stderr)
        return done if not check else done.stdout

    def events(self):
        """`kith events -f --format json` of this host's agent, as a running process with a line an event."""
        return subprocess.Popen([kith_binary(), "events", "-f", "--format", "json"], stdout=subprocess.PIPE, text=True,
                                stdin=subprocess.DEVNULL, env=os.environ | {"KITH_SOCKET": self.kith_socket})

    def recent_events(self):
        return [json.loads(line) for line in self.cli("events", "--since", "1h", "--format", "json").splitlines() if line.strip()]

    # What this host's agent says

    def nodes(self):
        """{name: "ready" | "down" | ...} as this host's agent sees the cluster."""
        return {node["Description"]["Hostname"]: node["Status"]["State"] for node in self.kith.get("/nodes")}

    def workers(self):
        """Names of the nodes that this host's agent holds for ready to be given work."""
        return [node["name"] for node in self.kith.get("/kith/v1/nodes") if node["state"] == "ready"]

    def ready_nodes(self):
        return [name for name, state in self.nodes().items() if state == "ready"]

    def services(self):
        return sorted(service["Spec"]["Name"] for service in self.kith.get("/services"))

    def tasks(self, service=None):
        return self.kith.get("/tasks", filters={"service": [service]} if service else {})
