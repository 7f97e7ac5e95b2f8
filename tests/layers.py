#!/usr/bin/env python3
"""Who may include whom, and what a core may not know: docs/architecture.md, "Folders"."""

import os
import re
import sys

SRC = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

EVERYTHING = {"base", "io", "gossip", "membership", "state", "placement", "engine", "api"}
MAY_INCLUDE = {
    "base": set(),
    "io": {"base"},
    "gossip": {"base"},
    "membership": {"base", "gossip"},
    "state": {"base", "gossip"},
    "placement": {"base", "state"},
    "engine": {"base", "io", "state"},
    "api": EVERYTHING - {"api"},
    "cli": {"base", "io", "api"},
    "agent": EVERYTHING | {"cli"},
}

# The words that placement and engine share.
SINGLE = {("engine", '#include "placement/view.h"')}

# A core takes (input, now) and returns effects: no sockets, clocks, files, threads, chance of its own.
CORES = ("gossip", "membership", "placement")
WORLD = re.compile(r'#include <(uv\.h|thread|mutex|fstream|iostream|random|filesystem|spdlog/.*|sys/socket\.h|unistd\.h)>'
                   r"|_clock::now\(|\brand\(\)|\bgetenv\(")
INCLUDE = re.compile(r'^\s*#include "([^"/]+)/')


def main():
    wrong = checked = 0
    for folder in sorted(os.listdir(SRC)):
        top = os.path.join(SRC, folder)
        if not os.path.isdir(top):
            continue
        if folder not in MAY_INCLUDE:
            print(f"src/{folder}: not in the table of tests/layers.py")
            wrong += 1
            continue
        for where, _, files in os.walk(top):
            for name in sorted(files):
                if not name.endswith((".h", ".cc")):
                    continue
                checked += 1
                path = os.path.join(where, name)
                with open(path) as source:
                    for number, line in enumerate(source, 1):
                        at = f"{os.path.relpath(path, os.path.dirname(SRC))}:{number}"
                        if (folder, line.strip()) in SINGLE:
                            continue
                        include = INCLUDE.match(line)
                        if include and include[1] in MAY_INCLUDE and include[1] not in MAY_INCLUDE[folder] | {folder}:
                            print(f"{at}: {folder} may not include {include[1]}")
                            wrong += 1
                        if folder in CORES and WORLD.search(line.split("//")[0]):
                            print(f"{at}: a core knows nothing of the world: {line.strip()}")
                            wrong += 1
    print(f"{checked} files")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
