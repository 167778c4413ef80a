#!/bin/sh
# Wait for the database, bring its schema up to date, and become the command.
set -e

if ! python manage.py wait_for_db; then
    echo "Where PostgreSQL runs and a database is missing, this creates it:"
    echo "    docker-compose exec users-db psql -U postgres -f /docker-entrypoint-initdb.d/create.sql"
    exit 1
fi >&2
python manage.py db upgrade

exec "$@"
