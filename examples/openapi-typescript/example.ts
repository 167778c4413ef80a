// The users service with types of openapi-typescript and the client openapi-fetch.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type User = components["schemas"]["User"];

const baseUrl = process.env.USERS_URL ?? "http://127.0.0.1:5000";
const client = createClient<paths>({
  baseUrl,
  headers: { Authorization: `Bearer ${process.env.USERS_TOKEN ?? ""}` },
});

function fail(error: components["schemas"]["ErrorResponse"]): never {
  throw new Error(`${error.code}: ${error.message}`);
}

// Create
const created = await client.POST("/users", {
  body: { username: "mary", email: "mary@example.com" },
});
if (created.error) fail(created.error);
const userId = created.data.data.id;
console.log(created.data.message);

// A conflict is told apart by its code.
const conflict = await client.POST("/users", {
  body: { username: "another", email: "MARY@example.com" },
});
if (conflict.error?.code === "email_taken") console.log("The address is taken.");

// Read
const path = { user_id: userId };
const read = await client.GET("/users/{user_id}", { params: { path } });
if (read.error) fail(read.error);
const etag = read.response.headers.get("ETag") ?? "";
console.log(`${read.data.data.username} is ${read.data.data.active ? "active" : "inactive"}.`);

// Update, if the user has not changed since it was read.
for (const username of ["admiral", "captain"]) {
  const updated = await client.PATCH("/users/{user_id}", {
    params: { path, header: { "If-Match": etag } },
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
  const page = await client.GET("/users", { params: { query: { limit: 2, after } } });
  if (page.error) fail(page.error);
  users.push(...page.data.data.users);
  after = page.data.data.after ?? undefined;
} while (after !== undefined);
console.log(`${users.length} users`);

// Search
const found = await client.GET("/users", { params: { query: { search: "admir exam" } } });
if (found.error) fail(found.error);
console.log(`found: ${found.data.data.users.map((user) => user.username).join(", ")}`);

// Delete
const removed = await client.DELETE("/users/{user_id}", { params: { path } });
if (removed.error) fail(removed.error);
console.log(removed.data.message);
