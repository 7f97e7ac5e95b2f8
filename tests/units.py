#!/usr/bin/env python3
"""Runs every test program of a build directory, two at a time, and adds up their cases.

    tests/units.py BUILD_DIR [--patience FACTOR]
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed")


def run(test, patience):
    begun = time.monotonic()
    env = os.environ | (test["env"] if isinstance(test["env"], dict) else {})
    try:
        done = subprocess.run(test["cmd"], cwd=test["workdir"] or None, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=max(test["timeout"], 60) * patience, text=True, errors="replace")
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, output = "time is up", (late.stdout or b"").decode(errors="replace")
    counts = DOCTEST.search(output)
    passed, failed = (int(counts[2]), int(counts[3])) if counts else (int(status == 0), int(status != 0))
    if status != 0 and failed == 0:
        failed = 1
    return test["name"], status, passed, failed, time.monotonic() - begun, output


def main(argv):
    build = argv[0]
    patience = float(argv[argv.index("--patience") + 1]) if "--patience" in argv else 1.0
    tests = json.loads(subprocess.run(["meson", "introspect", build, "--tests"], check=True, capture_output=True).stdout)
    total_passed = total_failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, status, passed, failed, seconds, output in pool.map(lambda test: run(test, patience), tests):
            print(f"{name:20} {passed:5} passed {failed:3} failed {seconds:7.1f} s", flush=True)
            if failed:
                print(f"--- {name}: {status}\n{output[-6000:]}\n---", flush=True)
            total_passed += passed
            total_failed += failed
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not total_passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
