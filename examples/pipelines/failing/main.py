"""A run that fails: a traceback on stderr, then exit code 3. It has no pipeline.json, for that is optional."""

import sys
import traceback

print("reading the orders of today")
try:
    orders = {"monday": 12}
    print(orders["tuesday"])
except KeyError:
    traceback.print_exc()
    sys.exit(3)
