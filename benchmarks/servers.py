"""The server that the clients are measured against: nginx where it is installed, else the one in pure Python."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from benchmarks import fixed_server
from benchmarks.answers import CAPTURE, DETAILS, INITIATE, ORDER_ID, TOKEN
from benchmarks.machine import SERVER_CORE, pin

__all__ = ["Server", "running"]

#: How long nginx may take to open its port, in seconds.
_START_LIMIT = 10.0

# One process, so that its processor time is one figure. `return` cannot see the request's body, but a request that is
# passed on can: that is how initiate answers with the order id that it was asked for. Everything that nginx would do
# after so many requests or seconds is put far away.
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; default_type application/json; server_tokens off;
  keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_body_in_single_buffer on;
  map $request_body $asked_order {{ default ""; '~"orderId":\\s*"(?<found>[^"]+)"' $found; }}
  upstream inner {{
    server unix:{folder}/inner.sock; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location = /accesstoken/get {{ return 200 '{token}'; }}
    location ~ ^/ecomm/v2/payments/(?<order>[^/]+)/capture$ {{ return 200 '{capture}'; }}
    location ~ ^/ecomm/v2/payments/(?<order>[^/]+)/details$ {{ return 200 '{details}'; }}
    location = /ecomm/v2/payments {{
      proxy_pass http://inner; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Asked-Order $asked_order;
    }}
  }}
  server {{
    listen unix:{folder}/inner.sock;
    location / {{ return 200 '{initiate}'; }}
  }}
}}
"""


@frozen(kw_only=True)
class Server:
    """A server that is up."""

    #: Its name and version.
    name: str
    url: str
    #: The process that answers.
    pid: int


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something answers on the port.

    Raises:
        RuntimeError: the process ended, or nothing answered in time.
    """
    until = time.monotonic() + _START_LIMIT
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("POST", "/accesstoken/get")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


@contextlib.contextmanager
def _nginx(binary: str) -> Iterator[Server]:
    version = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory(prefix="vipps-nginx-") as folder:
        port = _free_port()
        configuration = _NGINX.format(
            folder=folder,
            port=port,
            token=TOKEN,
            capture=CAPTURE.replace(ORDER_ID, "$order"),
            details=DETAILS.replace(ORDER_ID, "$order"),
            initiate=INITIATE.replace(ORDER_ID, "$http_asked_order"),
        )
        path = Path(folder) / "nginx.conf"
        path.write_text(configuration, encoding="utf-8")
        command = [binary, "-p", folder, "-c", str(path), "-e", f"{folder}/error.log"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_until_open(port, process)
                pin(process.pid, SERVER_CORE)
                # The version goes to stderr, as "nginx version: nginx/1.22.1".
                name = version.stderr.strip().rpartition(" ")[2]
                yield Server(name=name, url=f"http://127.0.0.1:{port}", pid=process.pid)
            finally:
                process.terminate()


def _nginx_binary() -> str | None:
    # Debian puts it where only root's PATH leads.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run the server on a core of its own, where that is possible."""
    binary = _nginx_binary()
    if binary is not None:
        with _nginx(binary) as server:
            yield server
        return
    with fixed_server.process() as (url, pid):
        pin(pid, SERVER_CORE)
        yield Server(name="the server in pure Python (no nginx here)", url=url, pid=pid)
