#!/bin/sh
# Wait for the database, upgrade its schema, and execute the command.
set -e

if ! python manage.py wait_for_db; then
    echo "If PostgreSQL is running and a database is missing, create it with:"
    echo "    docker-compose exec users-db psql -U postgres -f /docker-entrypoint-initdb.d/create.sql"
    exit 1
fi >&2
python manage.py db upgrade

exec "$@"
