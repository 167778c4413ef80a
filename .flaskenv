# For the `flask` command. Settings of this checkout belong in .env.
FLASK_APP=manage.py
FLASK_RUN_PORT=${PORT:-5000}
