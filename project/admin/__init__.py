"""The admin: web pages for operators. Its modules are loaded only if it is enabled."""

from project.config import Settings

CREDENTIALS = ("ADMIN_USERNAME", "ADMIN_PASSWORD", "SECRET_KEY")


def missing_credentials(settings: Settings) -> list[str]:
    """Return the names of the settings that a login needs and that are unset."""
    return [name for name in CREDENTIALS if not getattr(settings, name)]


def is_enabled(settings: Settings) -> bool:
    """Return whether the application serves the admin site.

    With a login (in production) the credentials decide. Without one FLASK_ENV
    decides.
    """
    if settings.ADMIN_REQUIRES_LOGIN:
        return not missing_credentials(settings)
    if settings.FLASK_ENV is None:
        return settings.ADMIN_OPEN_BY_DEFAULT
    return settings.FLASK_ENV == "development"
