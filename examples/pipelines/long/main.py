"""A long run: a numbered line each second, for SECONDS seconds. Watch it live, reload the page, cancel it.

When it is cancelled it gets SIGTERM and ten seconds to put things in order; it uses them.
"""

import os
import signal
import sys
import time

seconds = int(os.environ.get("SECONDS", "180"))
number = 0


def asked_to_stop(_signal: int, _frame: object) -> None:
    print(f"asked to stop after line {number}: putting things in order", flush=True)
    time.sleep(1)
    print("done, goodbye", flush=True)
    sys.exit(143)  # 128 + 15, what a shell reports for a process ended by SIGTERM


signal.signal(signal.SIGTERM, asked_to_stop)

for number in range(1, seconds + 1):
    print(f"line {number} of {seconds}", flush=True)
    time.sleep(1)
print("the end")
