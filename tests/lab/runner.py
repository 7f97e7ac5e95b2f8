#!/usr/bin/env python3
"""Runs the lab's tests, each in a lab of its own.

    tests/lab/runner.py [--long] [--list] [--repeat N] [PART OF A NAME...]
"""

import importlib
import inspect
import os
import random
import signal
import sys
import time
import traceback

from cases import Case, Skip
from host import REPO
from lab import Lab, HERE

LOGS = os.path.join(REPO, "build", "logs", "lab")


class TimeIsUp(BaseException):
    """Not an Exception: whatever polls through errors must not swallow it."""


def _alarm(*_):
    raise TimeIsUp()


def find(parts):
    cases = []
    for name in sorted(os.listdir(HERE)):
        if name.startswith("test_") and name.endswith(".py"):
            module = importlib.import_module(name[:-3])
            cases += [value for _, value in inspect.getmembers(module) if isinstance(value, Case)]
    cases.sort(key=lambda one: (one.module, one.line))
    return [one for one in cases if not parts or any(part in one.full_name for part in parts)]


def run(one, long):
    """None if it passed, else what was wrong."""
    lab = Lab(one.hosts)
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(one.limit(long))
    trouble = None
    try:
        with lab:
            try:
                if one.agents:
                    lab.start_agents()
                one.body(lab, long) if one.wants_long else one.body(lab)
            except BaseException:
                lab.save_logs(os.path.join(LOGS, one.full_name))
                raise
    except Skip:
        raise
    except TimeIsUp:
        trouble = f"took longer than {one.limit(long)} s\n{traceback.format_exc()}"
    except Exception:
        trouble = traceback.format_exc()
    finally:
        signal.alarm(0)
    left = lab.leaks()
    if left and not trouble:
        trouble = "left behind: " + "; ".join(left)
    return trouble


def main(argv):
    long = "--long" in argv
    repeat = int(argv[argv.index("--repeat") + 1]) if "--repeat" in argv else 1
    parts = [arg for index, arg in enumerate(argv) if not arg.startswith("--") and (not index or argv[index - 1] != "--repeat")]
    cases = [one for one in find(parts) if long or not one.long]
    if "--list" in argv:
        for one in cases:
            print(f"{one.full_name:60} {one.hosts} hosts{'  long' if one.long else ''}")
        return 0
    seed = int(os.environ.get("KITH_SEED", random.SystemRandom().randrange(2**32)))
    print(f"KITH_SEED={seed}")
    passed = failed = skipped = 0
    for one in cases * repeat:
        random.seed(f"{seed} {one.full_name}")
        begun = time.monotonic()
        try:
            trouble = run(one, long)
        except Skip as reason:
            skipped += 1
            print(f"skipped {one.full_name}: {reason}", flush=True)
            continue
        verdict = "FAILED" if trouble else "ok"
        print(f"{verdict:7} {one.full_name:64} {time.monotonic() - begun:6.1f} s", flush=True)
        if trouble:
            failed += 1
            print("        " + trouble.rstrip().replace("\n", "\n        "), flush=True)
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
