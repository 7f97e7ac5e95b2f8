"""Process 1 of a lab host: mounts /proc and an empty /run, names the host, reaps orphans.

It ends when its standard input does, that is when the lab lets go of it or dies, however it dies;
the kernel then ends everything else on this host.
"""

import ctypes
import os
import select
import signal
import socket
import sys


def mount(kind, target, options=b""):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind, target, kind, 0, options) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def main():
    mount(b"proc", b"/proc")
    mount(b"tmpfs", b"/run", b"mode=755")
    socket.sethostname(sys.argv[1])
    os.chdir("/")
    wake, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(alarm)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    os.write(1, b"ready\n")
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if 0 in readable and not os.read(0, 4096):
            return
        if wake in readable:
            os.read(wake, 4096)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


main()
