"""How long `import symnas` and `symnas --help` take, next to a bare interpreter and to peers.

Every command is run in turn, several rounds over, and medians are compared: times drift with the machine,
ratios much less.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

ROUNDS = 9
COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "`import symnas`": ["-c", "import symnas"],
    "`symnas --help`": [
        "-c",
        "import sys; sys.argv = ['symnas', '--help']; from symnas.cli import main; main()",
    ],
    "`import numpy`": ["-c", "import numpy"],
    "`import pyglove`": ["-c", "import pyglove"],
    "`import optuna`": ["-c", "import optuna"],
    "`import ConfigSpace`": ["-c", "import ConfigSpace"],
    "`import torch`": ["-c", "import torch"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - started)
    bare = median(times["bare interpreter"])
    print("## Starting up\n")
    print(
        f"Seconds of wall time, median of {ROUNDS} rounds; required: import under 0.3 s, help under 0.5 s.\n"
    )
    print("| command | seconds | beyond the bare interpreter | times the bare interpreter |")
    print("|---|---:|---:|---:|")
    for name, values in times.items():
        taken = median(values)
        print(f"| {name} | {taken:.3f} | {taken - bare:.3f} | {taken / bare:.1f} |")


if __name__ == "__main__":
    main()
