#!/usr/bin/env python3
"""Runs every fuzz target of a build directory for a while, two at a time.

    tests/fuzz/run.py BUILD_DIR [--seconds N] [--only TARGET] [--keep]

The build directory is one of clang's with -Dfuzz=true; `./run test --only fuzz` makes it. A run begins
with the kept inputs of tests/fuzz/corpus, and with what earlier runs found in the same build directory.
--keep puts what reaches new code back into tests/fuzz/corpus, the fewest inputs that do.
An input that breaks a target is left in BUILD_DIR/fuzz/TARGET/ and named: give it to the program as its
argument to see it again.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=64", "-max_len=4096", "-print_final_stats=1"]
DONE = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")


def option(argv, name, fallback):
    return argv[argv.index(name) + 1] if name in argv else fallback


def run(program, seconds):
    target = program.name.removeprefix("fuzz_")
    work = program.parents[2] / "fuzz" / target
    found = work / "found"
    found.mkdir(parents=True, exist_ok=True)
    kept = HERE / "corpus" / target
    folders = [str(found)] + ([str(kept)] if kept.is_dir() else [])
    words = HERE / (target + ".dict")
    command = [str(program), *LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={work}/", *folders]
    if words.is_file():
        command.append(f"-dict={words}")
    env = os.environ | {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    return target, done.returncode, done.stdout


def keep(program):
    target = program.name.removeprefix("fuzz_")
    found = program.parents[2] / "fuzz" / target / "found"
    kept = HERE / "corpus" / target
    fewest = found.parent / "fewest"
    shutil.rmtree(fewest, ignore_errors=True)
    fewest.mkdir(parents=True)
    folders = [str(fewest), str(found)] + ([str(kept)] if kept.is_dir() else [])
    # By places reached, not by how often: else there are thousands.
    subprocess.run([str(program), "-set_cover_merge=1", "-use_counters=0", "-max_len=4096", *folders],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for number, path in enumerate(sorted(fewest.iterdir(), key=lambda p: (p.stat().st_size, p.name))):
        shutil.copyfile(path, kept / f"{number:03}")
    print(f"{target}: {len(list(kept.iterdir()))} inputs kept")


def main(argv):
    build = pathlib.Path(argv[0]).resolve()
    seconds = int(option(argv, "--seconds", "15"))
    only = option(argv, "--only", "")
    programs = sorted(path for path in (build / "tests/fuzz").glob("fuzz_*") if path.is_file() and os.access(path, os.X_OK) and only in path.name)
    if "--keep" in argv:
        for program in programs:
            keep(program)
        return 0
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for target, status, output in pool.map(lambda program: run(program, seconds), programs):
            runs = DONE.search(output)
            reached = COVERAGE.findall(output)
            print(f"{target:10} {'good' if status == 0 else 'BROKEN':7} {runs[1] if runs else '?':>9} inputs, {reached[-1][0] if reached else '?':>6} places reached", flush=True)
            if status != 0:
                failed += 1
                print(f"--- {target}\n{output[-6000:]}\n---", flush=True)
    print(f"{len(programs) - failed} passed, {failed} failed")
    return 1 if failed or not programs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
