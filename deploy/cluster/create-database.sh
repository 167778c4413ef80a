#!/bin/sh
# Create the service's role and databases. Patroni calls it with the superuser's URL.
exec psql "$1" -v ON_ERROR_STOP=1 -v password="$USERS_PASSWORD" <<'SQL'
CREATE ROLE users LOGIN PASSWORD :'password';
\ir /docker-entrypoint-initdb.d/create.sql
ALTER DATABASE users_prod OWNER TO users;
SQL
