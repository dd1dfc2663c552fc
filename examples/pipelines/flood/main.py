"""A flood: LINES numbered lines (200,000 unless told otherwise) of 100 bytes each, as fast as print() goes.

The log holds each of them, once and in order, whether somebody watches or not.
"""

import os

lines = int(os.environ.get("LINES", "200000"))
filler = "abcdefghijklmnopqrstuvwxyz0123456789" * 3

for number in range(1, lines + 1):
    print(f"line {number:08d} {filler}"[:99])
