"""Sample users: two for a first try, or as many as a trial of the service needs."""

import random

from project.api.users import queries
from project.api.users.bulk import Row
from project.errors import EmailTaken

SAMPLES = [
    {"username": "ada", "email": "ada@example.com"},
    {"username": "grace", "email": "grace@example.com"},
]

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


def seed():
    """Add the sample users that are not there yet.

    Returns:
        For each sample its e-mail address, and whether it was added now.
    """
    return {user["email"]: add(user) for user in SAMPLES}


def add(user):
    """Add a sample user and return whether it was not there yet.

    Args:
        user: the username and the e-mail address, as a mapping.
    """
    try:
        queries.insert(active=True, **user)
    except EmailTaken:
        return False
    return True


def generate(count, seed=None):
    """Yield users as they might be, each with an address of its own.

    Args:
        count: how many.
        seed: a number; the same one gives the same users. None gives others each time.
    """
    chance = random.Random(seed)
    start = chance.randrange(10**6)
    for line in range(count):
        name = f"{chance.choice(FIRST_NAMES)}.{chance.choice(LAST_NAMES)}{start + line}"
        email = f"{name.lower()}@{chance.choice(DOMAINS)}"
        # Nine of ten are active.
        yield Row(line, name, email, chance.random() < 0.9)
