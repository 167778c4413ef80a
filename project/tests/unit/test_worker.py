"""gunicorn's worker, where it stops; functional/test_stop.py stops the real one."""

import subprocess
import sys

# In a process of its own: it makes every socket cooperative. 100 requests arrive while
# the loop is busy, so that they and the end of the wait are due in the same turn.
RACE = """
from gevent import monkey
monkey.patch_all()
import os, socket
import gevent
from gevent.monkey import get_original
from project.worker import Worker

class Settings:
    keepalive = 95

worker = Worker.__new__(Worker)
worker.cfg, worker.alive, worker.waiting, worker.clients = Settings, True, {}, {}
ended = []

def serve(connection):
    request = None
    worker.clients[gevent.getcurrent()] = connection
    with worker.timeout_ctx():
        request = connection.recv(10)
    if request:
        gevent.sleep(0.05)
    ended.append(bool(request))

pairs = [socket.socketpair() for _ in range(200)]
greenlets = [gevent.spawn(serve, theirs) for _, theirs in pairs]
gevent.sleep(0.05)
gevent.spawn_later(0.1, worker.hang_up)
gevent.sleep(0.05)
for ours, _ in pairs[:100]:
    os.write(ours.fileno(), b"x")
get_original("time", "sleep")(0.2)
gevent.joinall(greenlets, timeout=10, raise_error=True)
print(ended.count(True), ended.count(False))
"""


def test_a_request_that_has_come_is_served():
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["100", "100"], done.stderr
