"""The configuration of `logging`: one line per event, as text or JSON, on stderr."""

import logging
import logging.config
import re
from typing import Any

from flask import g, has_app_context

# Characters with which a value could forge a second line of the log.
UNSAFE_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


# No format contains these fields of a record. See "Optimization" in the documentation
# of `logging`.
logging.logThreads = False
logging.logProcesses = False
logging.logMultiprocessing = False


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to the records that are logged during a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        if has_app_context() and (request_id := g.get("request_id")):
            record.request_id = request_id
        return True


class TextFormatter(logging.Formatter):
    """Escapes control characters, except in tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without its traceback."""
        line = super().formatMessage(record)
        # Most lines need no replacement, and `isprintable` is faster.
        if line.isprintable():
            return line
        return UNSAFE_CHARACTERS.sub(lambda match: repr(match[0])[1:-1], line)


class DropDevAccessLog(logging.Filter):
    """Drops the access log of the development server, which duplicates ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is another message of the server."""
        return " - - [" not in str(record.msg)


def logging_config(level: str, format: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`.

    Args:
        level, format: see LOG_LEVEL and LOG_FORMAT.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": RequestIdFilter},
            "drop_dev_access_log": {"()": DropDevAccessLog},
        },
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.orjson.OrjsonFormatter",
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
                "formatter": format,
                "filters": ["request_id"],
            },
            "plain": {"class": "logging.StreamHandler", "formatter": "plain"},
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # SQLAlchemy's messages about the pool.
            "project.database.pool": {"level": "WARNING"},
            # The migrations report their progress with click.
            "alembic": {"level": "WARNING"},
            # The development server writes plain, coloured lines for a terminal.
            "werkzeug": {
                "level": "INFO",
                "handlers": ["plain"],
                "filters": ["drop_dev_access_log"],
                "propagate": False,
            },
            # gunicorn would give this logger a handler and a level of its own. At DEBUG
            # it logs the path of each request, which may contain personal data.
            "gunicorn.error": {
                "level": "INFO" if level == "DEBUG" else level,
                "handlers": [],
                "propagate": True,
            },
        },
    }


def configure_logging(level: str, format: str) -> None:
    """Configure the logging of this process; see `logging_config`."""
    logging.config.dictConfig(logging_config(level, format))
