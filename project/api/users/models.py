"""The `users` table."""

from sqlalchemy import Identity, func, true

from project import db
from project.api.users import schemas


class User(db.Model):
    """A person with a username and an e-mail address of their own.

    Attributes:
        id: the number that the database gives.
        username: a name, not necessarily unique.
        email: an address, unique in any letter case.
        active: whether the user may use what the service is for.
        created_date: when the row was made, with its time zone.
    """

    __tablename__ = "users"

    # A sequence number is spent even where an insert is refused: 32 bits could be.
    id = db.Column(db.BigInteger, Identity(), primary_key=True)
    username = db.Column(db.String(schemas.MAX_LENGTH), nullable=False)
    email = db.Column(db.String(schemas.MAX_LENGTH), nullable=False)
    active = db.Column(db.Boolean, nullable=False, server_default=true(), default=True)
    created_date = db.Column(
        db.DateTime(timezone=True), nullable=False, server_default=func.now()
    )

    __table_args__ = (
        db.Index("users_email_key", func.lower(email), unique=True),
        # A page of the active or the inactive users, however few they are and wherever.
        # On one index of both columns the planner would at times walk the primary key,
        # past all the others, since it does not know that these are far away.
        db.Index("users_active_key", id, postgresql_where=active),
        db.Index("users_inactive_key", id, postgresql_where=~active),
        # Serves the admin's search: any part of a username or an e-mail address.
        db.Index(
            "users_search_idx",
            username,
            email,
            postgresql_using="gin",
            postgresql_ops={"username": "gin_trgm_ops", "email": "gin_trgm_ops"},
        ),
    )

    def to_json(self):
        """Return the user as the API shows it, with types that JSON knows."""
        user = {name: getattr(self, name) for name in schemas.FIELDS}
        return user | {"created_date": self.created_date.isoformat()}
