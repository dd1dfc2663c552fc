"""Which environment variables a run sees: their names only, for a log is no place for their values."""

import os

for name in sorted(os.environ):
    print(name)
