"""Images from a real registry: absent ones are pulled by each host, local ones ask nobody."""

import base64
import json
import os
import shutil

from cases import Skip, case, create, wait_each_once
from lab import image_tar, wait_for

USER, PASSWORD = "lab", "lab-password"
HTPASSWD = "lab:$2b$04$AI4dVGJtr4CG7i7z1.2wpurnR3KYY4sAPtBs2cKoyPNXlxv0.65T2\n"
AT = "127.0.0.1:5000"  # the engine asks a registry on loopback without TLS


class Registry:
    """One store, served on each host's own loopback."""

    def __init__(self, lab):
        program = shutil.which("docker-registry")
        if not program:
            raise Skip("there is no docker-registry")
        self.lab, self.dir = lab, os.path.join(lab.dir, "registry")
        os.makedirs(self.dir)
        with open(os.path.join(self.dir, "htpasswd"), "w") as file:
            file.write(HTPASSWD)
        config = {"version": "0.1", "log": {"level": "info", "accesslog": {"disabled": False}}, "http": {"addr": AT},
                  "storage": {"filesystem": {"rootdirectory": os.path.join(self.dir, "data")}},
                  "auth": {"htpasswd": {"realm": "lab", "path": os.path.join(self.dir, "htpasswd")}}}
        path = os.path.join(self.dir, "config.json")
        with open(path, "w") as file:
            json.dump(config, file)
        for host in lab:
            with open(self.log(host), "wb") as log:
                host.spawn(program, "serve", path, stdout=log, stderr=log)
        # As `docker login` leaves it.
        os.makedirs(os.path.join(lab.dir, "docker-config"), exist_ok=True)
        plain = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        with open(os.path.join(lab.dir, "docker-config", "config.json"), "w") as file:
            json.dump({"auths": {AT: {"auth": plain}}}, file)

    def log(self, host):
        return os.path.join(self.dir, f"{host.name}.log")

    def asked(self, host, what="/v2/"):
        """Whether the host's registry was asked for anything like that."""
        with open(self.log(host), errors="replace") as log:
            return what in log.read()

    def push(self, host, name):
        """Puts an image that no engine has."""
        host.import_image(image_tar(), name)
        wait_for(lambda: host.docker("push", name), 30, f"push of {name}", every=0.2)
        host.docker("rmi", name)


def errors(host, service):
    out = host.kith_docker("service", "ps", service, "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
    return out.lower()


@case(hosts=3)
def images_come_from_the_registry_when_they_are_not_there(lab):
    registry = Registry(lab)
    first = lab["h1"]
    image = f"{AT}/far:1"
    registry.push(first, image)

    # A local image asks no registry, whatever its name.
    for host in lab.others("h1"):
        create(host, f"local-{host.name}", 3)
        wait_each_once(lab, f"local-{host.name}", 3, 20)
        assert not registry.asked(host), "a local image asked the registry"

    # The client's credentials reach every host, and are shown by none.
    first.kith_docker("service", "create", "-d", "--with-registry-auth", "--no-resolve-image", "--name", "far", "--replicas", "3", image)
    wait_each_once(lab, "far", 3, 40)
    for host in lab:
        assert registry.asked(host, "/v2/far/manifests/1"), host.name
        shown = json.dumps([host.kith.get("/services"), host.kith.get("/tasks"), host.kith.get("/kith/v1/tasks")])
        assert "Auth" not in shown, shown
        assert PASSWORD not in host.log()

    # An update without credentials keeps them.
    first.kith_docker("service", "scale", "-d", "far=0")
    wait_for(lambda: lab.running("far") == 0, 30, "none of far")
    for host in lab:
        wait_for(lambda: host.docker("rmi", "-f", image) or True, 20, "the image can go")
    first.kith_docker("service", "scale", "-d", "far=3")
    wait_each_once(lab, "far", 3, 40)

    # Without any, and for a tag that is not there, `service ps` has the registry's words.
    for host in lab:
        host.docker("rmi", "-f", image, check=False)
    first.kith_docker("service", "create", "-d", "--with-registry-auth", "--no-resolve-image", "--name", "none", f"{AT}/far:none")
    wait_for(lambda: "manifest for 127.0.0.1:5000/far:none not found" in errors(lab["h2"], "none"), 30, "the registry's words")
    registry.push(first, f"{AT}/closed:1")
    lab["h2"].kith_docker("service", "create", "-d", "--no-resolve-image", "--name", "closed", f"{AT}/closed:1")
    wait_for(lambda: "no basic auth credentials" in errors(first, "closed"), 30, "the registry's words")
    create(first, "still", 3)
    wait_each_once(lab, "still", 3, 20)
