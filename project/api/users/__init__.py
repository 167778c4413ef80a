"""The users resource: its schemas, table, queries, views and commands."""

from project.api.users.bulk.commands import export_users, import_users, seed_db
from project.api.users.history.commands import erase_history, purge_history
from project.api.users.views import users_blueprint

for command in (
    seed_db,
    export_users,
    import_users,
    purge_history,
    erase_history,
):
    users_blueprint.cli.add_command(command)

__all__ = ["users_blueprint"]
