import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { openTestPostgres, type TestPostgres } from "@purser/core/testing";
import pg from "pg";

/** A PostgreSQL database that is gone with its test. */
export interface TestDatabase {
  readonly url: string;
  // biome-ignore lint/suspicious/noExplicitAny: rows are as a statement selects them
  rows(sql: string, values?: unknown[]): Promise<any[]>;
}

/** The server of a test file, started when it is first asked for. */
export function testServer(after: (work: () => Promise<void>) => void): () => Promise<TestPostgres | string> {
  let server: Promise<TestPostgres | string> | undefined;
  after(async () => {
    const opened = await server;
    if (opened && typeof opened !== "string") await opened.close();
  });
  return () => {
    server ??= openTestPostgres();
    return server;
  };
}

/** An empty database. Undefined, and the test skipped, where there is no server. To be opened before what uses it, so that it ends after that. */
export async function openTestDatabase(t: TestContext, server: TestPostgres | string): Promise<TestDatabase | undefined> {
  if (typeof server === "string") {
    t.skip(`not run: ${server}`);
    return undefined;
  }
  const name = `test_${randomBytes(6).toString("hex")}`;
  const run = (sql: string) => withClient(server.url, (client) => client.query(sql));
  await run(`CREATE DATABASE ${name}`);
  const url = Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
  t.after(() => run(`DROP DATABASE ${name} WITH (FORCE)`).catch(() => undefined));
  return { url, rows: (sql, values) => withClient(url, async (client) => (await client.query(sql, values)).rows) };
}

async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
