"""The admin: web pages for operators. Its modules are loaded only if it is enabled."""

from project.config import Settings


def is_enabled(settings: Settings) -> bool:
    """Return whether the application serves the admin site.

    With a login (in production) it needs SECRET_KEY, which signs the cookies. Without
    one FLASK_ENV decides.
    """
    if settings.ADMIN_REQUIRES_LOGIN:
        return bool(settings.SECRET_KEY)
    if settings.FLASK_ENV is None:
        return settings.ADMIN_OPEN_BY_DEFAULT
    return settings.FLASK_ENV == "development"
