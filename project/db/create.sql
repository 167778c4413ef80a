-- Create the databases that do not exist. The file can run again.
-- The unique index on the mailbox needs UTF8. With the locale, the search of the admin
-- site ignores the letter case in every alphabet.
SELECT format(
    'CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8'''
    ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8''', name)
FROM unnest(ARRAY['users_dev', 'users_test', 'users_prod']) AS name
WHERE name NOT IN (SELECT datname FROM pg_database)
\gexec
