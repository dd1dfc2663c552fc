"""Shows that main.py can be split into several files."""


def greet(name: str) -> str:
    return f"Hello from {name}!"
