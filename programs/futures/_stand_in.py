"""A real HTTP server on this machine that answers for every host, as the proxy of the importing program.

Pages are made of the host's name; a host that is made up gets what a proxy says of it, 502 Bad Gateway.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class _Proxy(BaseHTTPRequestHandler):
    def do_GET(self):
        host = urlsplit(self.path).hostname
        if host is None or "made-up" in host:
            self.send_error(502)
            return
        page = f"<h1>{host}</h1>\n".encode() * 100
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args):
        pass


_server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
threading.Thread(target=_server.serve_forever, daemon=True).start()
for _name in [name for name in os.environ if name.lower() in ("http_proxy", "no_proxy")]:
    del os.environ[_name]
os.environ["http_proxy"] = f"http://127.0.0.1:{_server.server_port}"
