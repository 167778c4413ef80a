"""What an operator can do with many users at once."""

from typing import NamedTuple

import sqlalchemy as sa

from project.api.users.models import User


class Action(NamedTuple):
    """An action.

    Attributes:
        label: of its button.
        done: the past participle of the label.
        audit_action: see `record_user`.
        statement: an UPDATE or DELETE of all users.
        is_final: whether it cannot be undone.
    """

    label: str
    done: str
    audit_action: str
    statement: sa.Update | sa.Delete
    is_final: bool = False


# By the value of their buttons.
ACTIONS = {
    "activate": Action(
        "Activate", "activated", "updated", sa.update(User).values(active=True)
    ),
    "deactivate": Action(
        "Deactivate", "deactivated", "updated", sa.update(User).values(active=False)
    ),
    "delete": Action("Delete", "deleted", "removed", sa.delete(User), is_final=True),
}
