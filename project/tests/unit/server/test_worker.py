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
import pytest
from project.server.worker import DrainingWorker

class Config:
    keepalive = 95

worker = DrainingWorker.__new__(DrainingWorker)
worker.cfg, worker.alive, worker.idle, worker.clients = Config, True, {}, {}
served = []

def serve(connection):
    request = None
    worker.clients[gevent.getcurrent()] = connection
    with worker.timeout_ctx():
        request = connection.recv(10)
    if request:
        gevent.sleep(0.05)
    served.append(bool(request))

pairs = [socket.socketpair() for _ in range(200)]
greenlets = [gevent.spawn(serve, server) for _, server in pairs]
gevent.sleep(0.05)
gevent.spawn_later(0.1, worker.close_idle_connections)
gevent.sleep(0.05)
for client, _ in pairs[:100]:
    os.write(client.fileno(), b"x")
get_original("time", "sleep")(0.2)
gevent.joinall(greenlets, timeout=10, raise_error=True)
print(served.count(True), served.count(False))
"""


@pytest.mark.subprocess
def test_pending_request_is_served_when_idle_connections_close() -> None:
    result = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.split() == ["100", "100"], result.stderr
