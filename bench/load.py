#!/usr/bin/env python3
"""What a member sends, and how news spreads, from 10 to 10,000 members: kith's own cores in virtual time.

    ./run bench load [--png FILE]

Up to 316 members every one is a whole failure detector with a table of its own. Beyond, 16 are whole and know all; the
rest only answer pings and ping somebody by chance, from one shared list. In the spread of news every member has a queue
of its own, and all share one list of peers.
"""

import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.environ.get("KITH_SWIM_LAB", os.path.join(ROOT, "build", "tests", "membership", "swim_lab"))
SIZES = [10, 32, 100, 316, 1000, 3162, 10000]
WHOLE_UP_TO = 316
LOSSES = [0, 10, 25]
SMALL = 16  # members up to which the profile lan probes every 300 ms, above every 500 ms
TICK = 0.1  # seconds between two rounds of the profile lan


def lab(*args):
    return subprocess.run([LAB, *map(str, args)], check=True, capture_output=True, text=True).stdout.split()


def load():
    print("What one idle member sends a second (profile lan; below 17 members it probes every 300 ms, above every 500 ms):")
    rows = []
    for n in SIZES:
        whole = n <= WHOLE_UP_TO
        packets, size = map(float, lab("load", n, 0, 20_000, 1) if whole else lab("load-some", n, 16, 60_000, 1))
        interval = packets * (0.3 if n <= SMALL else 0.5)
        rows.append((n, packets, size, interval))
        print(f"{n:8} members: {packets:6.2f} datagrams, {size:7.1f} bytes; {interval:5.2f} datagrams an interval   {'all of them whole' if whole else '16 of them whole'}",
              flush=True)
    middle = sum(row[3] for row in rows) / len(rows)
    worst = max(abs(row[3] / middle - 1) for row in rows)
    print(f"{middle:.2f} datagrams an interval on average, at most {100 * worst:.1f}% from it: {verdict(worst <= 0.1)}")
    return rows


def verdict(holds):
    return "holds" if holds else "DOES NOT HOLD"


def spread():
    print("\nRounds of 100 ms until all know (worst of 3 seeds), theory (push, fan-out 3, the mean) and seconds for urgent news:")
    curves = {}
    for loss in LOSSES:
        for n in SIZES:
            runs = [lab("spread", n, loss, "tick", seed) for seed in (1, 2, 3)]
            missed = sum(n - int(run[0]) for run in runs)
            rounds = max(float(run[2]) for run in runs) / TICK
            theory = int(runs[0][4])
            urgent = lab("spread", n, loss, "urgent", 1)
            curves.setdefault(loss, []).append((n, rounds, theory))
            print(f"{loss:3}% lost {n:8} members: {rounds:5.1f} rounds, theory {theory:3}; urgent {float(urgent[2]):6.3f} s;"
                  f" {float(runs[0][3]):5.1f} datagrams a member{f'; {missed} never heard' if missed else ''}", flush=True)
    worst = max(rounds - theory for curve in curves.values() for _, rounds, theory in curve)
    print(f"at most {worst:.1f} rounds above theory (a round is begun at a chance moment): {verdict(worst <= 2)}")
    return curves


def picture(rows, curves, path):
    """Debian's matplotlib belongs to Debian's Python, which may not be the one that runs this."""
    data = json.dumps({"rows": rows, "curves": curves})
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, __file__, "--draw", path], input=data, text=True, capture_output=True).returncode == 0:
            print(f"\ndrawn: {path}")
            return
    print(f"\nno {path}: it needs python3-matplotlib")


def draw(rows, curves, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5))
    left.semilogx([row[0] for row in rows], [row[3] for row in rows], "o-")
    left.set(title="What one idle member sends", xlabel="members", ylabel="datagrams a probe interval", ylim=(0, 4))
    for colour, (loss, curve) in zip(("tab:blue", "tab:orange", "tab:red"), curves.items()):
        right.semilogx([n for n, _, _ in curve], [rounds for _, rounds, _ in curve], "o-", color=colour, label=f"{loss}% lost")
        right.semilogx([n for n, _, _ in curve], [theory for _, _, theory in curve], "--", color=colour, label=f"{loss}%, theory")
    right.set(title="Until all know", xlabel="members", ylabel="rounds of 100 ms", ylim=(0, None))
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    argv = sys.argv[1:]
    if argv[:1] == ["--draw"]:
        draw(path=argv[1], **json.load(sys.stdin))
        return
    path = argv[argv.index("--png") + 1] if "--png" in argv else os.path.join(ROOT, "build", "load.png")
    begun = time.monotonic()
    rows = load()
    curves = spread()
    picture(rows, curves, path)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
