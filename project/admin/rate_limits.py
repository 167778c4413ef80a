"""The limits of login attempts, counted in PostgreSQL for all workers together."""

import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

import sqlalchemy as sa

from project import db
from project.database.engines import AUTOCOMMIT


class Limit(NamedTuple):
    """A maximum number of attempts within a period, in seconds."""

    attempts: int
    period: int


CLIENT_LIMITS = (Limit(5, 60), Limit(30, 3600))
# Guessing from many addresses is limited as well. More than operators need, because an
# attacker who reaches the limit keeps them from logging in.
GLOBAL_LIMIT = Limit(100, 60)
# The client of the global limit. `client_network` never returns it.
EVERYBODY = "everybody"

# A period begins with the first attempt. It may end while the attempt is counted, so
# the time to wait is at least a second.
SECONDS_LEFT = """
    greatest(1, ceil(period - extract(epoch FROM now() - started_at)))::int
"""
DELETE_EXPIRED = sa.text("""
    DELETE FROM admin_login_attempts
    WHERE started_at < now() - period * interval '1 second'
    """)
READ = sa.text(f"""
    SELECT attempts, {SECONDS_LEFT} AS seconds_left
    FROM admin_login_attempts WHERE client = :client
    """)
COUNT = sa.text(f"""
    INSERT INTO admin_login_attempts AS counted (client, period, attempts)
    VALUES (:client, :period, 1)
    ON CONFLICT (client, period) DO UPDATE SET attempts = counted.attempts + 1
    RETURNING attempts, {SECONDS_LEFT} AS seconds_left
    """)

# An address of X-Forwarded-For may have a port.
ADDRESS = re.compile(r"\[(?P<v6>[^]]+)\](:[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")


def client_network(address: str) -> str:
    """Return the key under which the attempts of a client are counted.

    A client usually has a whole /64 network of IPv6, and so counts as one.

    Args:
        address: as in `request.remote_addr`.
    """
    match = ADDRESS.fullmatch(address)
    if match:
        address = match["v6"] or match["v4"]
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ip_network((int(ip), 64), strict=False))


def count_attempt(address: str) -> int:
    """Count a login attempt of a client.

    Returns:
        0, or the seconds to wait if the attempt exceeds a limit.
    """
    network = client_network(address)
    # Each statement is committed at once: an attempt counts before the next one starts.
    with db.engines[AUTOCOMMIT].connect() as connection:
        connection.execute(DELETE_EXPIRED)
        # When the global limit is reached, attempts add no rows.
        row = connection.execute(READ, {"client": EVERYBODY}).one_or_none()
        if row and row.attempts >= GLOBAL_LIMIT.attempts:
            return int(row.seconds_left)
        # An attempt that the client's own limits refuse does not count for everybody:
        # otherwise one client could keep all operators from logging in.
        counters = [(network, limit) for limit in CLIENT_LIMITS]
        for client, limit in [*counters, (EVERYBODY, GLOBAL_LIMIT)]:
            parameters = {"client": client, "period": limit.period}
            row = connection.execute(COUNT, parameters).one()
            if row.attempts > limit.attempts:
                return int(row.seconds_left)
    return 0
