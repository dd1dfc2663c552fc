"""Eats memory, ten megabytes at a time, until it hits the limit in pipeline.json (128 MB) and is stopped for it.

Without a limit it stops by itself at 512 MB.
"""

import time

eaten = []
for step in range(1, 53):
    eaten.append(b"x" * 10_000_000)
    print(f"{step * 10} MB", flush=True)
    time.sleep(0.1)
print("nobody stopped me: is there no limit?")
