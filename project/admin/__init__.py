"""The admin: pages for people. Loaded only where the settings let somebody in."""

CREDENTIALS = ("ADMIN_USERNAME", "ADMIN_PASSWORD", "SECRET_KEY")


def missing_credentials(settings):
    """Return the names of the settings that logging in needs and that are not there.

    Args:
        settings: the application's configuration.
    """
    return [name for name in CREDENTIALS if not settings[name]]


def is_open(settings):
    """Return whether there is an admin, for anybody or for who can log in.

    Where it asks for a password, credentials decide and FLASK_ENV counts for nothing.

    Args:
        settings: the application's configuration.
    """
    if settings["ADMIN_LOGIN"]:
        return not missing_credentials(settings)
    words = {"development": True, "production": False}
    return words.get(settings["FLASK_ENV"], settings["ADMIN_OPEN"])


def gaps(settings):
    """Return a line for an operator who meant to open the admin and did half of it.

    Args:
        settings: the application's configuration.
    """
    missing = missing_credentials(settings)
    meant = settings["ADMIN_USERNAME"] or settings["ADMIN_PASSWORD"]
    if settings["ADMIN_LOGIN"] and meant and missing:
        yield f"the admin is closed: to open it, set {' and '.join(missing)}, too"
