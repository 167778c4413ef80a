"""How gunicorn runs the application; gunicorn.conf.py refers to these modules."""
