"""Odd lines: JSON, blank, indented, ten megabytes long, not UTF-8, a progress bar, and no newline at the end.

Always the same bytes: `python3 main.py` on your own machine gives exactly what the downloaded log holds.
"""

import sys

out = sys.stdout.buffer


def line(content: bytes) -> None:
    out.write(content + b"\n")
    out.flush()


line(b'{"level": "info", "message": "a line of JSON", "rows": 42, "nested": {"list": [1, 2, 3]}}')
line(b'{"log":"looks like Docker\'s own log\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}')
line(b"2024-01-01T00:00:00.000000000Z stdout F looks like a line of the stored log")
line(b"data: looks like a server-sent event")
line(b"")
line(b"")
line(b"   ")
line(b"    indented by four blanks")
line(b"\tindented by a tab, with a\ttab inside")
line(b"blanks at the end   ")
line(b"<script>alert('markup is text')</script> &amp; <b>not bold</b>")
line("umlauts äöü, Chinese 日本語, an emoji 🚀, right to left שלום".encode())
line("the byte order mark \ufeff and the line separator \u2028 inside a line".encode())
line(b"\x1b[31mred\x1b[0m \x1b[1;32mbold green\x1b[0m \x1b[38;5;208morange\x1b[0m")
line(b"not UTF-8: \xff\xfe \x80 \xc3( Latin-1 caf\xe9")
line(b"a null \x00 and a bell \x07 and a backspace \x08")
line(b"ends the Windows way\r")

for percent in range(0, 101, 5):
    bar = b"#" * (percent // 5)
    out.write(b"\rprogress [%-20s] %3d%%" % (bar, percent))
    out.flush()
line(b"")

line(b"x" * 10_000_000)
line(b"the line above is 10,000,000 bytes long")
out.write(b"and this one has no newline at its end")
out.flush()
