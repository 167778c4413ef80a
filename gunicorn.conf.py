"""gunicorn's configuration, for `gunicorn` and `gunicorn manage:app`."""

import gc

# The imports create hardly any garbage. `ServerHooks.pre_fork` enables it again.
gc.disable()

# gevent must patch sockets and locks before another module uses them.
from gevent import events, monkey  # noqa: E402

# For each of 25 events, gevent would search the metadata of all installed packages for
# plugins, which takes a fifth of the start. `notify` calls the subscribers only.
events.notify_and_call_entry_points = events.notify
monkey.patch_all()

import os  # noqa: E402

from project.server import startup  # noqa: E402
from project.server.hooks import ServerHooks  # noqa: E402
from project.web.logs import logging_config  # noqa: E402

settings = startup.load_settings_or_exit()

wsgi_app = "manage:app"
bind = startup.bind_addresses(settings)
workers = startup.worker_count(settings)
# A greenlet per connection, so that slow clients do not occupy a worker.
worker_class = "project.server.worker.DrainingWorker"
worker_connections = startup.connection_limit(settings)
# Load the application once, so that the workers share its memory.
preload_app = True
# Seconds. Longer than the 90 of Heroku's router, which should close first.
keepalive = 95
# Seconds. Heroku sends SIGKILL after 30.
graceful_timeout = 25
# The workers' heartbeat file: in memory, where a slow disk does not delay it.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
# Bytes. RFC 9110 requires at least 8000.
limit_request_line = 8190
# ClientSocket, which has the deadlines, sends files like other responses.
sendfile = False
# TRUSTED_PROXIES decides about X-Forwarded-For; see project/web/request_log.py.
forwarded_allow_ips = ""
# The socket would be in the home directory, which a container may not have.
control_socket_disable = True

logconfig_dict = logging_config(settings.LOG_LEVEL, settings.LOG_FORMAT)
logger_class = "project.server.logger.ErrorOnlyLogger"

metrics_dir = startup.create_metrics_dir(settings)
hooks = ServerHooks(settings, metrics_dir)
on_starting = hooks.on_starting
when_ready = hooks.when_ready
pre_fork = hooks.pre_fork
post_fork = hooks.post_fork
child_exit = hooks.child_exit
on_exit = hooks.on_exit
