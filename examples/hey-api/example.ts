// The users service with a client of @hey-api/openapi-ts.

import { client } from "./client/client.gen.js";
import {
  addUser,
  changeUser,
  getUser,
  listUsers,
  removeUser,
  type ErrorResponse,
  type User,
} from "./client/index.js";

client.setConfig({
  baseUrl: process.env.USERS_URL ?? "http://127.0.0.1:5000",
  auth: process.env.USERS_TOKEN,
});

function fail(error: ErrorResponse): never {
  throw new Error(`${error.code}: ${error.message}`);
}

// Create
const created = await addUser({ body: { username: "mary", email: "mary@example.com" } });
if (!created.data) fail(created.error);
const path = { user_id: created.data.data.id };
console.log(created.data.message);

// A conflict is told apart by its code.
const conflict = await addUser({ body: { username: "another", email: "MARY@example.com" } });
if (conflict.error?.code === "email_taken") console.log("The address is taken.");

// Read
const read = await getUser({ path });
if (!read.data) fail(read.error);
const etag = read.response?.headers.get("ETag") ?? "";
console.log(`${read.data.data.username} is ${read.data.data.active ? "active" : "inactive"}.`);

// Update, if the user has not changed since it was read.
for (const username of ["admiral", "captain"]) {
  const updated = await changeUser({
    path,
    headers: { "If-Match": etag },
    body: { username },
  });
  if (updated.data) console.log(`The username is ${updated.data.data.username}.`);
  else if (updated.error.code === "stale_version") console.log("The user has changed.");
  else fail(updated.error);
}

// List all pages
const users: User[] = [];
let after: number | undefined;
do {
  const page = await listUsers({ query: { limit: 2, after } });
  if (!page.data) fail(page.error);
  users.push(...page.data.data.users);
  after = page.data.data.after ?? undefined;
} while (after !== undefined);
console.log(`${users.length} users`);

// Search
const found = await listUsers({ query: { search: "admir exam" } });
if (!found.data) fail(found.error);
console.log(`found: ${found.data.data.users.map((user) => user.username).join(", ")}`);

// Delete
const removed = await removeUser({ path });
if (!removed.data) fail(removed.error);
console.log(removed.data.message);
