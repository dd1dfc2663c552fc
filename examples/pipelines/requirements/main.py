"""Real packages from requirements.txt: installed once ahead of the run, then used without asking the network.

To need no network itself, it fetches a page with `requests` from a server that it starts on its own loopback address.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import humanize
import requests


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"rows": 1234567}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()

print(f"requests {requests.__version__}, humanize {humanize.__version__}")
print(f"this environment's interpreter: {sys.executable}")
answer = requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=5)
print(f"status {answer.status_code}: {humanize.intcomma(answer.json()['rows'])} rows")
