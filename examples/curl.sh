#!/bin/sh
# The users service with curl and jq.
set -eu

url=${USERS_URL:-http://127.0.0.1:5000}

# request METHOD PATH [OPTIONS]: print the body. The headers are in the file "$headers".
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
request() {
    method=$1 path=$2
    shift 2
    curl -sS --compressed -D "$headers" -X "$method" "$url$path" \
        -H "Authorization: Bearer ${USERS_TOKEN:-}" -H "Content-Type: application/json" "$@"
}

# Create
created=$(request POST /users -d '{"username": "mary", "email": "mary@example.com"}')
id=$(echo "$created" | jq .data.id)
echo "$created" | jq -r .message
[ "$id" != null ] || exit 1

# A conflict is told apart by its code.
conflict=$(request POST /users -d '{"username": "another", "email": "MARY@example.com"}')
if [ "$(echo "$conflict" | jq -r .code)" = email_taken ]; then
    echo "The address is taken."
fi

# Read
request GET "/users/$id" |
    jq -r '.data | "\(.username) is \(if .active then "active" else "inactive" end)."'
etag=$(sed -n 's/^ETag: \(.*\)\r$/\1/Ip' "$headers")

# Update, if the user has not changed since it was read.
for username in admiral captain; do
    request PATCH "/users/$id" -H "If-Match: $etag" -d "{\"username\": \"$username\"}" |
        jq -r 'if .code == "stale_version" then "The user has changed."
               else "The username is \(.data.username)." end'
done

# List all pages
count=0
after=0
while [ "$after" != null ]; do
    page=$(request GET "/users?limit=2&after=$after")
    count=$((count + $(echo "$page" | jq '.data.users | length')))
    after=$(echo "$page" | jq .data.after)
done
echo "$count users"

# Search
request GET "/users?search=admir+exam" |
    jq -r '"found: \([.data.users[].username] | join(", "))"'

# Delete
request DELETE "/users/$id" | jq -r .message
