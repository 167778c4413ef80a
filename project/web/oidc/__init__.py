"""Access tokens of an OpenID Connect provider (`OIDC_ISSUER`, `OIDC_AUDIENCE`).

Loaded only if these settings are set.
"""

from flask import Flask

from project.web.auth import VERIFIER
from project.web.oidc.tokens import TokenVerifier


def init_app(app: Flask) -> None:
    """Let `project.web.auth` accept the access tokens of the provider."""
    app.extensions[VERIFIER] = TokenVerifier(
        app.config["OIDC_ISSUER"], app.config["OIDC_AUDIENCE"]
    )
