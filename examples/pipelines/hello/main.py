"""The smallest pipeline: a folder with a main.py. It prints a few lines and ends well."""

import platform

from greeting import greet  # a file beside main.py, imported as always

print(greet("Fast-Flow"))
print(f"This is Python {platform.python_version()} in a container of its own.")
print("The container and everything in it are gone as soon as this script ends.")
