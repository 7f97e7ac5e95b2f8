#!/usr/bin/env python3
"""Lifeguard's experiments (arXiv 1707.00788, section V) with kith's own failure detector, in virtual time.

    ./run bench lifeguard [--full]

Beside the published totals: plain SWIM, Lifeguard as published, and all that kith adds to it, each with the paper's
timing (alpha 5, beta 6, an interval of 1 s); then the profile lan. Then bursts of loss, a deaf and a mute member, and
the death of an agent alone. Only --full runs the whole grid, for hours.
"""

import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.environ.get("KITH_SWIM_LAB", os.path.join(ROOT, "build", "tests", "membership", "swim_lab"))
CONFIGS = {"plain": "plain SWIM", "lifeguard": "Lifeguard as published", "paper": "kith, the paper's timing", "lan": "kith, lan"}

# Members blocked at once; for how long and how long not, in ms; seconds of it; seeds.
BOUNDED = dict(anomalous=[8, 16, 32], pairs=[(16384, 256)], stopped=[(32, 16384, 256)], ms=50_000, seeds=1, threshold_seeds=2,
               minutes=2, trials=60)
WHOLE = dict(anomalous=[1, 4, 8, 12, 16, 20, 24, 28, 32], pairs=[(d, i) for d in (128, 512, 2048, 8192, 16384, 32768)
                                                                 for i in (1, 4, 16, 64, 256, 1024, 4096, 16384)],
             stopped=[(c, d, 256) for c in (4, 16, 32) for d in (2048, 16384)], ms=120_000, seeds=3, threshold_seeds=20, minutes=60,
             trials=500)


def lab(*args):
    return subprocess.run([LAB, *map(str, args)], check=True, capture_output=True, text=True).stdout


def interval(config, cells, kind, size):
    """Sums over the cells: wrong deaths at healthy members, declared by blocked ones, believed by blocked ones; cost."""
    total = [0] * 6
    for anomalous, blocked, between in cells:
        for seed in range(1, size["seeds"] + 1):
            row = lab("interval", config, anomalous, blocked, between, seed, kind, size["ms"]).split()
            total = [a + int(b) for a, b in zip(total, row)]
    return total


def share(part, whole):
    return f"{100 * part / whole:8.2f}%" if whole else "       -"


def grid(cells, kind, size):
    print(f"{'':26}{'wrong deaths':>13} {'of plain':>9} {'at healthy':>11} {'of plain':>9} {'own':>8} {'believed':>9}"
          f" {'messages':>9} {'bytes':>9} {'streams':>8}")
    base = None
    for config, title in CONFIGS.items():
        healthy, own, heard, messages, size_, streams = interval(config, cells, kind, size)
        wrong = healthy + own + heard
        base = base or (wrong, healthy, messages, size_)
        print(f"{title:26}{wrong:13} {share(wrong, base[0])} {healthy:11} {share(healthy, base[1])} {own:8} {heard:9}"
              f" {share(messages, base[2])} {share(size_, base[3])} {streams:8}", flush=True)


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))] if values else float("nan")


def threshold(size):
    print("\nSeconds until a member that stays blocked is known dead (first healthy one, all of them):")
    for config, title in CONFIGS.items():
        seen = {"first": [], "all": [], "missed": []}
        for seed in range(1, size["threshold_seeds"] + 1):
            for line in lab("threshold", config, 8, 40_000, seed).splitlines():
                name, *values = line.split()
                seen[name] += map(float, values)
        print(f"{title:26}first: median {statistics.median(seen['first']):6.2f}, p99 {percentile(seen['first'], .99):6.2f}"
              f"   all: median {statistics.median(seen['all']):6.2f}, p99 {percentile(seen['all'], .99):6.2f}"
              f"   never by all: {int(sum(seen['missed']))} of {8 * size['threshold_seeds']}", flush=True)
    print(f"{'published, SWIM':26}first: median  12.44            all: median  12.91 (as remembered from the paper's tables)")


def faults(size):
    print(f"\nBursts of loss (Gilbert-Elliott, 100 ms), 50 members, {size['minutes']} min, none of them down:")
    for config in ("lan-plain", "lan", "edge"):
        for percent in (9, 25):
            suspects, dead, _, _, healed = lab("bursts", config, 50, percent, size["minutes"] * 60_000, 1).split()
            print(f"{config:10} {percent:3}% lost: {int(suspects):7} times suspect in somebody's view, {int(dead):6} times dead;"
                  f" all agree {float(healed):.2f} s after the end", flush=True)
    print("\nOne member of 20 is deaf, or mute, for 20 s:")
    for config in ("lan-plain", "lan"):
        for fault in ("deaf", "mute"):
            suspects, dead, own, known, healed = lab(fault, config, 20, 20_000, 1).split()
            print(f"{config:10} {fault}: known dead by all in {known} s; at the others {suspects} wrong suspicions, {dead} wrong deaths;"
                  f" itself it buries {own}; all agree {healed} s after the end", flush=True)
    print("\nDeath of a host, and of its agent alone (the port refuses), until all others know, 5 members:")
    for config in ("lan", "wan", "edge"):
        for what in ("host", "agent"):
            seconds = list(map(float, lab(what, config, 5, size["trials"], 1).split()[1:]))
            print(f"{config:10} {what:5}: median {statistics.median(seconds):5.2f} s, p99 {percentile(seconds, .99):5.2f} s", flush=True)


def main():
    size = WHOLE if "--full" in sys.argv[1:] else BOUNDED
    begun = time.monotonic()
    cells = [(c, d, i) for c in size["anomalous"] for d, i in size["pairs"]]
    print(f"Healthy members called dead; 128 members of which C in {size['anomalous']} are blocked at once, {len(cells)} cells,"
          f" {size['ms'] // 1000} s each, seeds 1..{size['seeds']}")
    print("own: at a blocked member, by itself. believed: at a blocked member, of another's word.\n")
    print("published: SWIM 339,002 in all, 1,326 at healthy members; Lifeguard 1.53% and 1.89% of that, messages 110.6%, bytes 98.0%")
    print("goals: at most 6% in all, 0.5% at healthy members, messages 120%, bytes 110%\n")
    print("Blocked just before sending and just after receiving, timers go on (the paper's):")
    grid(cells, "held", size)
    print("\nThe whole process stopped, as a program of one thread would be:")
    grid(size["stopped"], "stopped", size)
    threshold(size)
    faults(size)
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
