"""Prints every secret in all the ways in which scripts leak them, most of them by mistake."""

import base64
import html
import json
import logging
import os
import pprint
import shlex
import subprocess
import sys
import textwrap
import time
import traceback
import urllib.parse

NAMES = os.environ["NAMES"].split(",")
VALUES = {name: os.environ[name] for name in NAMES}
SHORT = {name: value for name, value in VALUES.items() if len(value) < 400}

print("ready", flush=True)
# Somebody looks at the container meanwhile.
time.sleep(float(os.environ.get("WAIT", "0")))


def way(number):
    print(f"way {number:02d} done", flush=True)


print(dict(os.environ))
way(1)
subprocess.run(["env"], check=True)
subprocess.run(["cat", "/proc/self/environ"], check=True)
print()
way(2)
for value in VALUES.values():
    print(value, file=sys.stderr)
    print(f"<{value}>", repr(value), ascii(value), repr(value.encode()), sep=" ")
way(3)
for value in VALUES.values():
    try:
        raise KeyError(value)
    except KeyError:
        traceback.print_exc()
        traceback.print_exc(file=sys.stdout)
way(4)
for value in VALUES.values():
    for before in (b"", b"x", b"xy", b"user:"):
        for after in (b"", b"\n", b"yz"):
            print(base64.b64encode(before + value.encode() + after).decode())
way(5)
for value in VALUES.values():
    for before in (b"", b"x", b"xy"):
        coded = base64.urlsafe_b64encode(before + value.encode()).decode()
        print(coded, coded.rstrip("="), urllib.parse.quote(base64.b64encode(before + value.encode()), safe=""))
way(6)
for value in SHORT.values():
    for letter in value:
        sys.stdout.write(letter)
        sys.stdout.flush()
    print()
way(7)
for name in NAMES[:6]:
    half = len(VALUES[name]) // 2
    for part in (VALUES[name][:half], VALUES[name][half:]):
        sys.stdout.write(part)
        sys.stdout.flush()
        time.sleep(0.3)
    print()
way(8)
for name, value in SHORT.items():
    for percent in range(0, 101, 50):
        sys.stderr.write(f"\r{name} {value} {percent}%")
        sys.stderr.flush()
time.sleep(0.3)
print(file=sys.stderr)
way(9)
print(json.dumps(VALUES), json.dumps(VALUES, ensure_ascii=False), json.dumps(json.dumps(VALUES)))
print(json.dumps(VALUES, indent=2).replace("/", "\\/"))
way(10)
for value in VALUES.values():
    print("https://example.org/?q=" + urllib.parse.quote(value), urllib.parse.quote(value, safe=""))
    print(urllib.parse.urlencode({"q": value}), urllib.parse.quote_plus(value).lower() if "%" in value else "")
way(11)
for value in VALUES.values():
    print(f'<input value="{html.escape(value)}">')
way(12)
for name, value in SHORT.items():
    print(shlex.quote(value))
    subprocess.run(["sh", "-xc", f'true "${name}"'], check=True)
way(13)
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
for value in VALUES.values():
    logging.debug("the token is %r", value)
    logging.error("the token is %s", value)
way(14)
pprint.pprint(VALUES, width=1_000_000)
way(15)
for value in VALUES.values():
    print(value.encode().hex(), value.encode().hex().upper())
way(16)
print(".".join(value for value in VALUES.values()) * 3)
print(("x" * 16_300) + VALUES[NAMES[0]] + ("y" * 16_300) + VALUES[NAMES[1]])
way(17)
for name in NAMES[:3]:
    child = subprocess.Popen(["sh", "-c", "sleep 0.2; true", VALUES[name]])
    with open(f"/proc/{child.pid}/cmdline", "rb") as arguments:
        sys.stdout.buffer.write(arguments.read() + b"\n")
    child.wait()
way(18)
for value in VALUES.values():
    print(textwrap.indent(value, "    | "))
    print(*value.splitlines(), sep="\r\n")
way(19)
os.write(1, "".join(f"{name}={value}\0" for name, value in VALUES.items()).encode())
print()
way(20)
sys.stdout.write("cut off in the middle of " + VALUES[NAMES[5]][:-1])
sys.stdout.flush()
raise RuntimeError(f"could not log in with {VALUES[NAMES[3]]}")
