"""A few calls of the Docker Engine API over a unix socket: what must be polled too often for a client process each time."""

import http.client
import json
import socket
import urllib.parse


class ApiError(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """Thread-safe: a connection a call."""

    def __init__(self, socket_path, timeout=10.0):
        self.socket_path = socket_path
        self.timeout = timeout

    def raw(self, method, path, body=None, headers=None, timeout=None):
        """(status, body bytes) whatever the status; OSError or HTTPException when nobody answers."""
        connection = _UnixConnection(self.socket_path, timeout or self.timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, method, path, body=None, timeout=None, **query):
        if query:
            encoded = {key: value if isinstance(value, str) else json.dumps(value) for key, value in query.items()}
            path += "?" + urllib.parse.urlencode(encoded)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        status, answer = self.raw(method, path, None if body is None else json.dumps(body), headers, timeout)
        if status >= 400:
            try:
                answer = json.loads(answer)["message"]
            except (ValueError, KeyError, TypeError):
                answer = answer.decode(errors="replace")
            raise ApiError(status, answer)
        return json.loads(answer) if answer.strip() else None

    def get(self, path, **query):
        return self.call("GET", path, **query)

    def answers(self, timeout=2.0):
        try:
            return self.raw("GET", "/_ping", timeout=timeout)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def containers(self, service=None, running=True):
        """This engine's containers of a service (of every service if None) by the label that Swarm and kith both set."""
        label = "com.docker.swarm.service.name" + (f"={service}" if service else "")
        filters = {"label": [label]}
        if running:
            filters["status"] = ["running"]
        return self.get("/containers/json", all="false" if running else "true", filters=filters)

    def running(self, service=None):
        return len(self.containers(service))
