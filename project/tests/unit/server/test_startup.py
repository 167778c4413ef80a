"""Warnings about missing production settings."""

import pytest

from project.config import DevelopmentConfig, ProductionConfig, load_config
from project.server.startup import startup_warnings


@pytest.mark.parametrize(
    "config, url, warnings",
    [
        (DevelopmentConfig, None, 0),
        (ProductionConfig, None, 1),
        (ProductionConfig, "postgres://localhost/users", 0),
    ],
)
def test_production_warns_if_database_url_is_unset(
    monkeypatch: pytest.MonkeyPatch, config: type, url: str | None, warnings: int
) -> None:
    if url:
        monkeypatch.setenv("DATABASE_URL", url)
    lines = " ".join(startup_warnings(load_config(config)))
    assert lines.count("DATABASE_URL is not set") == warnings


def test_development_settings_warn_that_they_are_not_meant_for_production() -> None:
    lines = " ".join(startup_warnings(load_config(DevelopmentConfig)))
    assert "set APP_SETTINGS=project.config.ProductionConfig" in lines


@pytest.mark.parametrize(
    "variables, expected",
    [
        ({}, ["API_TOKENS is not set"]),
        ({"API_TOKENS": "0123456789abcdef"}, []),
        (
            {"OIDC_ISSUER": "https://login.example.com", "OIDC_AUDIENCE": "users"},
            [],
        ),
        (
            {
                "API_TOKENS": "crm:0123456789abcde0@2999-12-31"
                " billing:0123456789abcdef@2026-01-31 read:0123456789abcdeg@2026-02-01"
            },
            [
                "API_TOKENS: the token billing has expired; its last day was"
                " 2026-01-31: give the client a new token, and remove this one",
                "the token number 3 has expired; its last day was 2026-02-01",
            ],
        ),
    ],
)
def test_missing_and_expired_tokens_cause_a_warning(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/users")
    monkeypatch.setenv("TRUSTED_HOSTS", "users.example.com")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    warnings = startup_warnings(load_config(ProductionConfig))
    for warning, text in zip(warnings, expected, strict=True):
        assert text in warning


def test_settings_of_earlier_versions_are_reported_with_their_replacement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADMIN_USERNAME", "ops")
    lines = " ".join(startup_warnings(load_config(ProductionConfig)))
    assert "ADMIN_USERNAME no longer have an effect" in lines
    assert "python manage.py set_operator" in lines
