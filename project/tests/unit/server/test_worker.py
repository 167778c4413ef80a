"""The end of idle connections; functional/server/test_stop.py stops a real worker."""

import subprocess
import sys

import pytest

# Runs in its own process, since it makes every socket cooperative. 100 requests arrive
# while the event loop is busy, so that the loop sees them and the end of the keep-alive
# time in the same iteration.
RACE = """
from gevent import monkey
monkey.patch_all()
import os, socket
import gevent
from gevent.monkey import get_original
from gunicorn.config import Config
from project.server.connection import ClientSocket
from project.server.request_queue import RequestQueue
from project.server.worker import CHECK_SECONDS, DrainingWorker

worker = DrainingWorker(0, os.getppid(), [], None, 30, Config(), None)
queue = RequestQueue()
served = []

def serve(accepted):
    client = ClientSocket(accepted, timeout=10, idle_timeout=95, queue=queue)
    worker.clients[""].add(client)
    served.append(bool(client.recv(10)))

pairs = [socket.socketpair() for _ in range(200)]
greenlets = [gevent.spawn(serve, server) for _, server in pairs]
gevent.sleep(0.05)
worker.close_idle_connections()

def send_requests():
    # The loop is busy until the deadlines have to be checked.
    get_original("time", "sleep")(2 * CHECK_SECONDS)
    for client, _ in pairs[:100]:
        os.write(client.fileno(), b"x")

gevent.spawn(worker.check_deadlines)
gevent.spawn_later(0.9 * CHECK_SECONDS, send_requests)
gevent.joinall(greenlets, timeout=10, raise_error=True)
print(served.count(True), served.count(False))
"""


@pytest.mark.subprocess
def test_pending_request_is_served_when_idle_connections_close() -> None:
    result = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.split() == ["100", "100"], result.stderr
