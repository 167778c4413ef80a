"""Who asked for what, and how it went: request ids, log lines, audit lines."""

import logging
import logging.config
import os
import re
import time

from flask import g, has_app_context, request
from pythonjsonlogger.orjson import OrjsonFormatter
from werkzeug.middleware.proxy_fix import ProxyFix

REQUEST_ID = "X-Request-ID"
# What another service may give us as a request's id; anything else is replaced.
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

access_log = logging.getLogger("project.access")
audit_log = logging.getLogger("project.audit")


def init_app(app):
    """Give each request an id and a line in the log, and measure it where asked to."""
    if app.config["TRUSTED_PROXIES"]:
        trusted = app.config["TRUSTED_PROXIES"]
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted)
    app.before_request(begin)
    app.after_request(end)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        # gunicorn.conf.py sets it where there is a METRICS_PORT. The import is here
        # since it costs time and memory.
        from project import metrics

        metrics.init_app(app)


def begin():
    """Name the request, by the id that it brings or by one of our own."""
    given = request.environ.get("HTTP_X_REQUEST_ID", "")
    g.request_id = given if SANE_ID.fullmatch(given) else os.urandom(16).hex()
    g.started = time.perf_counter()


def end(response):
    """Send the request's id back, and log the request.

    Its path and query are left out: they hold what is personal. The route does not.

    Args:
        response: the answer; it is returned.
    """
    response.headers.add(REQUEST_ID, g.request_id)
    if access_log.isEnabledFor(logging.INFO):
        seen = {
            "method": request.method,
            "route": route(),
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - g.started) * 1000, 2),
            "client": request.remote_addr,
        }
        access_log.info(
            "%(method)s %(route)s %(status)s %(milliseconds)s ms %(client)s",
            seen,
            extra=seen,
        )
    return response


def route():
    """Return the rule of the request's URL, which unlike its path holds no data."""
    return request.url_rule.rule if request.url_rule else "unmatched"


def audit(action, user_id, who=None):
    """Log that a user was written.

    Args:
        action: what was done: `added`, `updated` or `removed`.
        user_id: to whom.
        who: by whom, where that is known.
    """
    audit_log.info(
        "user %s %s",
        user_id,
        action,
        extra={"action": action, "user_id": user_id, "who": who},
    )


class RequestId(logging.Filter):
    """Adds the id of the request that a record belongs to."""

    def filter(self, record):
        """Let every record pass, with its request's id if it has one."""
        if has_app_context() and "request_id" in g:
            record.request_id = g.request_id
        return True


class TextFormatter(logging.Formatter):
    """One readable line; a control character in it cannot forge another."""

    def formatMessage(self, record):
        """Return the line without its traceback."""
        line = super().formatMessage(record)
        return CONTROL.sub(lambda found: repr(found[0])[1:-1], line)


class NotAccess(logging.Filter):
    """Drops the development server's own line for each request: there is ours."""

    def filter(self, record):
        """Tell whether a record is anything else."""
        return " - - [" not in str(record.msg)


class NoQuotes(logging.Filter):
    """Cuts off what gunicorn quotes of a request that it does not understand.

    It may be a query with an address, or a header with a token.
    """

    def filter(self, record):
        """Let every record pass."""
        if str(record.msg).startswith("Invalid request"):
            record.msg = re.split("['\"]", record.msg)[0]
        return True


def logging_config(settings):
    """Return what `logging.config.dictConfig` takes: one line an event, on stderr.

    Args:
        settings: a mapping with `LOG_LEVEL` and `LOG_FORMAT`.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": RequestId},
            "not_access": {"()": NotAccess},
            "no_quotes": {"()": NoQuotes},
        },
        "formatters": {
            "json": {
                "()": OrjsonFormatter,
                "fmt": ["levelname", "name", "message"],
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": "time",
            },
            "plain": {"format": "%(message)s"},
            "text": {
                "()": TextFormatter,
                "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s %(request_id)s",
                "defaults": {"request_id": ""},
            },
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": settings["LOG_FORMAT"],
                "filters": ["request_id"],
            },
            "plain": {"class": "logging.StreamHandler", "formatter": "plain"},
        },
        "root": {"level": settings["LOG_LEVEL"], "handlers": ["stderr"]},
        "loggers": {
            # The migrations tell by themselves which of them ran.
            "alembic": {"level": "WARNING"},
            # The development server speaks to a person, in lines and colours.
            "werkzeug": {
                "level": "INFO",
                "handlers": ["plain"],
                "filters": ["not_access"],
                "propagate": False,
            },
            # gunicorn gives its own logger a handler and a level of their own.
            "gunicorn.error": {
                "level": "NOTSET",
                "handlers": [],
                "propagate": True,
                "filters": ["no_quotes"],
            },
        },
    }


def configure_logging(settings):
    """Set up the process's log as the settings say; see `logging_config`."""
    logging.config.dictConfig(logging_config(settings))
