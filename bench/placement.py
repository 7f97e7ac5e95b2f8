"""What placing a million slots costs, and how even and steady it is beside a plain ring, rendezvous and jump hashing.

    ./run bench placement
"""

import os
import subprocess
import sys

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                       "build", "tests", "placement", "bench_placement")


def main():
    return subprocess.run([PROGRAM], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
