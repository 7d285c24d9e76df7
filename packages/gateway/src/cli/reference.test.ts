import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADMIN_ROUTES } from "../admin/routes.ts";
import type { CommandContext } from "./command.ts";
import { runCommandLine } from "./command-line.ts";
import { COMMANDS } from "./commands.ts";
import { styleFor } from "./style.ts";

const CONTEXT: CommandContext = {
  cwd: ".",
  env: {},
  style: styleFor({}, {}),
  now: () => 0,
  print: () => undefined,
  say: () => undefined,
};

function reference(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../../../../docs/reference/${name}`, import.meta.url)), "utf8");
}

describe("the reference", () => {
  test("says of every command what the command says of itself", async () => {
    const text = reference("cli.md");
    for (const { name } of COMMANDS) {
      const { text: help } = await runCommandLine([name, "--help"], CONTEXT);
      assert.ok(text.includes(`## \`purser ${name}\``), `docs/reference/cli.md has no part on ${name}`);
      assert.ok(text.includes(`\`\`\`text\n${help}\n\`\`\``), `docs/reference/cli.md says of ${name} something else than:\n${help}`);
    }
  });

  test("names every route of the admin API", () => {
    const text = reference("admin-api.md");
    for (const { method, path } of ADMIN_ROUTES) assert.ok(text.includes(`## \`${method} ${path}\``), `${method} ${path}`);
  });
});
