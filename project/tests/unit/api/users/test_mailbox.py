"""The function of the unique index agrees with Python's Unicode and IDNA libraries."""

import random
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice

import email_validator
import idna
import pytest
from flask_sqlalchemy import SQLAlchemy
from pydantic import TypeAdapter, ValidationError

from project import db
from project.api.users.mailbox import fold_domain
from project.api.users.schemas import Email

email_adapter: TypeAdapter[str] = TypeAdapter(Email)


def is_defined(text: str) -> bool:
    """Return whether every version of Unicode in Python and PostgreSQL defines it."""
    undefined = ("Cn", "Co", "Cs", "Cc")
    return all(unicodedata.ucd_3_2_0.category(c) not in undefined for c in text)


# Without most ideographs and syllables, which are alike, and without other at-signs.
CHARACTERS = [
    character
    for character in map(
        chr,
        [
            *range(0x3500),
            *range(0xA000, 0xAD00),
            *range(0xD700, 0x20100),
            *range(0x2F800, 0x110000),
        ],
    )
    if is_defined(character) and unicodedata.normalize("NFKC", character) != "@"
]
LETTERS = [c for c in CHARACTERS if unicodedata.category(c).startswith("L")]
# Parts of addresses that are written in several ways.
PARTS = (
    "a B ß ẞ ü Ü u\u0308 U\u0308 é ｅ Ｅ ﬁ K ſ ς σ Σ İ i\u0307 ı J\u030c ǰ å Å"
    " Ж ж ひ 漢 한 \u1112\u1161\u11ab ä a\u0308 ñ ² ｘn-- - 1 １ א ب क हिन्दी"
).split()


def batched(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the texts in lists; a statement has a time-out."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch


def mailboxes(texts: Iterable[str]) -> list[str]:
    """Return the results of the database's function."""
    statement = """
        SELECT users_mailbox(text) FROM unnest(%s::text[]) WITH ORDINALITY AS t(text, n)
        ORDER BY n
    """
    results: list[str] = []
    with db.engine.connect() as connection:
        for batch in batched(texts, 2_000):
            results += connection.exec_driver_sql(statement, (batch,)).scalars()
    return results


def expected_fold(text: str) -> str:
    """Fold a text without accents that come apart, letter by letter."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(character.lower() for character in text)
    return unicodedata.normalize("NFKC", text)


def expected_label(label: str) -> str:
    """Decode a label with Python's codec."""
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        decoded.encode("utf-8")
    except UnicodeError:
        return label
    return decoded if label[:4] == "xn--" and not decoded.isascii() else label


def expected_mailbox(email: str) -> str:
    local, at, domain = expected_fold(email).rpartition("@")
    labels = domain.replace("。", ".").split(".")
    domain = expected_fold(".".join(map(expected_label, labels)))
    return local.replace("ς", "σ") + at + domain.replace("。", ".")


def is_valid(email: str) -> bool:
    """Return whether the API accepts the address."""
    try:
        email_adapter.validate_python(email)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "email, mailbox",
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("jürgen@xn--bcher-kva.example", "jürgen@bücher.example"),
        ("JU\u0308RGEN@BÜCHER。Example", "jürgen@bücher.example"),
        ("ａｄａ@ｘｎ－－ｂｃｈｅｒ－ｋｖａ．ｅｘａｍｐｌｅ", "ada@bücher.example"),
        ("ΣΊΣΥΦΟΣ@ΣΊΣΥΦΟΣ.example", "σίσυφοσ@σίσυφοσ.example"),
        ("σίσυφος@σίσυφος.example", "σίσυφοσ@σίσυφος.example"),
        ("İ@example.com", "i\u0307@example.com"),
        ("J\u030c@example.com", "ǰ@example.com"),
        ("\u1c80@example.com", "в@example.com"),
        ("straße@straße.example", "straße@straße.example"),
        ("a@Ländernamen.xn--bcher-kva.example", "a@ländernamen.bücher.example"),
        ("A@xn--", "a@xn--"),
        ("A@xn--Abc-", "a@xn--abc-"),
        ("A@xn--99999999", "a@xn--99999999"),
        ("A@xn--" + "z" * 100, "a@xn--" + "z" * 100),
        ("Ü@xn--ü", "ü@xn--ü"),
        ("", ""),
        ("@", "@"),
        ("Ü@", "ü@"),
        ("@Ü", "@ü"),
        ("Ü", "ü"),
        ("Ü@A@B", "ü@a@b"),
    ],
)
def test_mailbox_of_an_address(
    test_database: SQLAlchemy, email: str, mailbox: str
) -> None:
    assert mailboxes([email]) == [mailbox]


def test_mailbox_of_null_is_null(test_database: SQLAlchemy) -> None:
    with db.engine.connect() as connection:
        statement = "SELECT users_mailbox(NULL)"
        assert connection.exec_driver_sql(statement).scalar_one() is None


@pytest.mark.generated
def test_every_character_is_folded_as_in_python(test_database: SQLAlchemy) -> None:
    emails = [f"x{c}y@x{c}y.example" for c in CHARACTERS]
    assert mailboxes(emails) == list(map(expected_mailbox, emails))
    domains = [fold_domain(email.rpartition("@")[2]) for email in emails]
    assert domains == [expected_mailbox(e).rpartition("@")[2] for e in emails]


@pytest.mark.generated
def test_letter_case_and_normal_forms_do_not_change_the_mailbox(
    test_database: SQLAlchemy,
) -> None:
    pairs = [
        (letter, other)
        for letter in LETTERS
        for other in (letter.lower(), letter.upper(), letter.title())
        # The capital of a dotless i is I, but it is another letter than i.
        if len(other) == 1 and is_defined(other) and letter != "ı"
    ] + [
        (character, unicodedata.normalize(form, character))
        for character in CHARACTERS
        for form in ("NFC", "NFD", "NFKC", "NFKD")
    ]
    first, second = ([f"x{c}y@example.com" for c in column] for column in zip(*pairs))
    assert mailboxes(first) == mailboxes(second)


@pytest.mark.generated
def test_addresses_are_folded_as_in_python(test_database: SQLAlchemy) -> None:
    rng = random.Random(1)

    def part() -> str:
        return "".join(rng.choices(PARTS, k=rng.randint(0, 6)))

    emails = [
        f"{part()}@{rng.choice(['', 'xn--'])}{part()}{rng.choice('.。．｡@')}{part()}"
        for _ in range(5_000)
    ]
    assert mailboxes(emails) == list(map(expected_mailbox, emails))
    assert mailboxes(mailboxes(emails)) == mailboxes(emails)


@pytest.mark.generated
def test_labels_are_decoded_as_in_python(test_database: SQLAlchemy) -> None:
    rng = random.Random(2)
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"
    labels = [
        "xn--" + "".join(rng.choices(alphabet, k=rng.randint(0, length)))
        for length in (3, 6, 10, 20, 60)
        for _ in range(1_000)
    ] + [
        "xn--"
        + "".join(rng.choices(CHARACTERS, k=rng.randint(1, 20)))
        .encode("punycode")
        .decode("ascii", "ignore")
        for _ in range(5_000)
    ]
    emails = [
        f"a@{label}.example" for label in labels if is_defined(expected_label(label))
    ]
    decoded = mailboxes(emails)
    assert decoded == list(map(expected_mailbox, emails))
    assert sum("xn--" not in email for email in decoded) > 4_000


@pytest.mark.generated
def test_accepted_domain_has_the_mailbox_of_both_its_forms(
    test_database: SQLAlchemy,
) -> None:
    rng = random.Random(3)
    domains = [f"x{character}y.example" for character in CHARACTERS] + [
        "".join(rng.choices(PARTS, k=rng.randint(1, 6))) + ".example"
        for _ in range(5_000)
    ]
    accepted = [f"a@{domain}" for domain in domains if is_valid(f"a@{domain}")]
    assert len(accepted) > 5_000
    parsed = [
        email_validator.validate_email(email, check_deliverability=False)
        for email in accepted
    ]
    expected = mailboxes(accepted)
    assert mailboxes(f"a@{address.domain}" for address in parsed) == expected
    assert mailboxes(f"a@{address.ascii_domain}" for address in parsed) == expected
    encoded = [idna.encode(address.domain).decode() for address in parsed]
    assert mailboxes(f"a@{domain}" for domain in encoded) == expected


def test_function_works_with_an_empty_search_path(test_database: SQLAlchemy) -> None:
    """As in pg_dump and REINDEX."""
    email = "Jürgen@xn--bcher-kva.example"
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email) VALUES ('j', %s)", (email,)
        )
        connection.exec_driver_sql("SET LOCAL search_path = ''")
        statement = "SELECT public.users_mailbox(%s)"
        mailbox = connection.exec_driver_sql(statement, (email,)).scalar_one()
        assert mailbox == "jürgen@bücher.example"
        connection.exec_driver_sql("REINDEX INDEX public.users_email_key")
        connection.exec_driver_sql("DELETE FROM public.users")
