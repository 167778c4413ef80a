-- Create the databases that are not there; it can run again.
-- Lower-casing knows every letter, whatever the machine's locale: the unique index
-- on lower(email) depends on it.
SELECT format(
    'CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8'''
    ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8''', name)
FROM unnest(ARRAY['users_dev', 'users_test', 'users_prod']) AS name
WHERE name NOT IN (SELECT datname FROM pg_database)
\gexec
