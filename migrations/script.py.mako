<%!
import re
from textwrap import fill


def docstring(message):
    """Return the message as a sentence, in lines of at most 88 characters."""
    return fill(message.rstrip(".") + ".", 82)


def strip_comments(operations):
    """Return the operations without Alembic's comments around them."""
    lines = operations.splitlines()
    return "\n".join(line for line in lines if "# ###" not in line).strip()
%>\
<%
body = [strip_comments(code or "pass") for code in (upgrades, downgrades)]
uses = {name for name in ("sa", "op") if re.search(rf"\b{name}\.", " ".join(body))}
%>\
"""${docstring(message)}"""

% if "sa" in uses:
import sqlalchemy as sa
% endif
% if "op" in uses:
from alembic import op
% endif
${imports or ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Apply the migration."""
    ${body[0]}


def downgrade() -> None:
    """Revert the migration."""
    ${body[1]}
