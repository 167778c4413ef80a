"""The users service with a client of openapi-python-client."""

import os

from users_client import AuthenticatedClient
from users_client.api.users import (
    add_user,
    change_user,
    get_user,
    list_users,
    remove_user,
)
from users_client.models import (
    ChangedUserResponse,
    ErrorCode,
    ErrorResponse,
    MessageResponse,
    NewUser,
    User,
    UserChange,
    UserPage,
    UserResponse,
)
from users_client.types import UNSET, Unset

client = AuthenticatedClient(
    base_url=os.environ.get("USERS_URL", "http://127.0.0.1:5000"),
    token=os.environ.get("USERS_TOKEN", ""),
)

# Create
created = add_user.sync(
    client=client, body=NewUser(username="mary", email="mary@example.com")
)
assert isinstance(created, ChangedUserResponse), created
user_id = created.data.id
print(created.message)

# A conflict is told apart by its code.
conflict = add_user.sync(
    client=client, body=NewUser(username="another", email="MARY@example.com")
)
if isinstance(conflict, ErrorResponse) and conflict.code is ErrorCode.EMAIL_TAKEN:
    print("The address is taken.")

# Read
read = get_user.sync_detailed(user_id, client=client)
assert isinstance(read.parsed, UserResponse), read
etag = read.headers["ETag"]
user = read.parsed.data
print(f"{user.username} is {'active' if user.active else 'inactive'}.")

# Update, if the user has not changed since it was read.
for username in ("admiral", "captain"):
    updated = change_user.sync(
        user_id, client=client, if_match=etag, body=UserChange(username=username)
    )
    if isinstance(updated, ChangedUserResponse):
        print(f"The username is {updated.data.username}.")
    elif updated and updated.code is ErrorCode.STALE_VERSION:
        print("The user has changed.")

# List all pages
users: list[User] = []
after: int | None | Unset = UNSET
while after is not None:
    page = list_users.sync(client=client, limit=2, after=after)
    assert isinstance(page, UserPage), page
    users += page.data.users
    after = page.data.after
print(f"{len(users)} users")

# Search
found = list_users.sync(client=client, search="admir exam")
assert isinstance(found, UserPage), found
print("found:", ", ".join(user.username for user in found.data.users))

# Delete
removed = remove_user.sync(user_id, client=client)
assert isinstance(removed, MessageResponse), removed
print(removed.message)
