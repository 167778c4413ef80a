"""Sample users: two for a first try, or any number for a test of the service."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from project.api.users import queries
from project.api.users.bulk.load import ImportRow
from project.api.users.errors import EmailTaken
from project.api.users.schemas import NewUser, example
from project.audit_log import operating_system_user

SAMPLES = [
    {"username": "ada", "email": "ada@example.com"},
    {"username": "grace", "email": "grace@example.com"},
]
ACTIVE_SHARE = 0.9

FIRST_NAMES = (
    "Ada Alan Amina Ana Anita Barbara Chen Chloe Daniel Diego Edith Elena Emmy Fatima"
    " Felix Grace Hana Hedy Igor Ines Ivan Jan Jean Joan Jose Julia Kai Karen Katherine"
    " Lars Leila Lina Linus Lucia Maria Mary Mei Mohamed Nadia Noah Olga Omar Pedro"
    " Priya Radia Ravi Rosa Sofia Tim Wei Yuki Zara"
).split()
LAST_NAMES = (
    "Ali Allen Andersson Bauer Bell Bianchi Brown Cohen Costa Diaz Dubois Fernandez"
    " Fischer Garcia Hamilton Hopper Hussain Ivanov Jansen Johnson Jones Kaur Keller"
    " Khan Kim Kowalski Lamarr Lee Lopez Lovelace Martin Meyer Miller Moreau Nguyen"
    " Noether Novak Okafor Patel Perlman Rossi Sato Schmidt Silva Singh Smith Tanaka"
    " Torvalds Turing Wang Williams Yilmaz"
).split()
DOMAINS = ("example.com", "example.net", "example.org", "mail.example", "work.example")


def seed() -> dict[str, bool]:
    """Add the sample users that do not exist yet.

    Returns:
        Whether the user was added, by e-mail address.
    """
    return {sample["email"]: add_sample(sample) for sample in SAMPLES}


def sample_fields(sample: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a user: a sample's, then examples, then defaults."""
    # As JSON, because the examples are JSON values: a date's is a text.
    return vars(
        NewUser.model_validate_json(orjson.dumps({**example(NewUser), **sample}))
    )


def add_sample(sample: Mapping[str, str]) -> bool:
    """Add a sample user, and return False if the address is taken."""
    try:
        queries.insert(sample_fields(sample), operating_system_user())
    except EmailTaken:
        return False
    return True


def generate(count: int, seed: int | None = None) -> Iterator[ImportRow]:
    """Yield random users with distinct e-mail addresses.

    Args:
        seed: the same seed yields the same users; None yields different ones.
    """
    rng = random.Random(seed)
    first_number = rng.randrange(10**6)
    examples = sample_fields({})
    for line in range(count):
        name = (
            f"{rng.choice(FIRST_NAMES)}.{rng.choice(LAST_NAMES)}{first_number + line}"
        )
        fields = {
            "username": name,
            "email": f"{name.lower()}@{rng.choice(DOMAINS)}",
            "active": rng.random() < ACTIVE_SHARE,
        }
        yield ImportRow(line, examples | fields)
