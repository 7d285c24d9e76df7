import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { AuditLog } from "../../audit-log/audit-log.ts";
import { isPassword, isPasswordHash } from "../../people/password.ts";
import { People } from "../../people/people.ts";
import { PLAIN } from "../style.ts";
import { readSecret } from "../typed-secret.ts";
import { runUsers } from "./users.ts";

const PASSWORD = "seven seas and a wooden leg";

function scene(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "purser-users-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const said: string[] = [];
  const users = (words: readonly string[], options: Record<string, string> = {}, typed = `${PASSWORD}\n`) =>
    runUsers(
      { args: words, positionals: words, options: { data: directory, ...options }, rest: undefined },
      { cwd: directory, env: { USER: "kim" }, style: PLAIN, now: Date.now, print: () => undefined, say: (text) => said.push(text) },
      Object.assign(Readable.from([typed]), { isTTY: false }),
    );
  return { directory, users, people: new People(directory) };
}

test("people are made, get other passwords and are removed, and all of it is written down without a password", async (context) => {
  const { directory, users, people } = scene(context);
  assert.match((await users(["list"])).text, /Nobody signs in by name/);
  const made = await users(["create", "ann@example.com"], { role: "member", team: "deck" });
  assert.deepEqual(made.json, { name: "ann@example.com", role: "member", attributes: { team: "deck" } });
  const hash = people.find("ann@example.com")?.password ?? "";
  assert.ok(await isPassword(PASSWORD, hash));
  assert.equal(statSync(join(directory, "people.json")).mode & 0o777, 0o600);
  await assert.rejects(users(["create", "ann@example.com"], { role: "viewer" }), /already.*users password/);
  await users(["password", "ann@example.com"], {}, "another one for the sea\n");
  assert.ok(await isPassword("another one for the sea", people.find("ann@example.com")?.password));
  assert.match((await users(["list"])).text, /ann@example.com.*member.*team=deck.*purser users/);
  await users(["remove", "ann@example.com"]);
  assert.equal(people.find("ann@example.com"), undefined);
  const lines = await new AuditLog(directory).lines();
  assert.deepEqual(
    lines.map(({ what, by }) => [what, by]),
    ["person.created", "person.password_changed", "person.removed"].map((what) => [what, "kim on this machine"]),
  );
  const written = readFileSync(join(directory, "audit.jsonl"), "utf8");
  for (const secret of [PASSWORD, hash]) assert.ok(!written.includes(secret));
});

test("a hash is printed for the configuration, and works there", async (context) => {
  const { users } = scene(context);
  const { text } = await users(["hash"]);
  assert.ok(isPasswordHash(text) && (await isPassword(PASSWORD, text)));
});

test("what cannot be meant is said before a password is asked for", async (context) => {
  const { users } = scene(context);
  await assert.rejects(users(["create"], { role: "viewer" }), /Say who/);
  await assert.rejects(users(["create", "ann"]), /--role member, viewer, admin/);
  await assert.rejects(users(["create", "ann"], { role: "owner" }), /no role "owner"/);
  await assert.rejects(users(["create", "*"], { role: "member" }), /cannot name a person/);
  await assert.rejects(users(["create", "ann"], { role: "member", user: "*" }), /more than one/);
  await assert.rejects(users(["create", "ann"], { role: "member" }, "short\n"), /will not do.*fewer than 10/);
  await assert.rejects(users(["remove", "ann"]), /no person "ann"/);
  await assert.rejects(users(["crate", "ann"]), /Did you mean "create"/);
});

test("on a terminal a password is typed twice, unseen, and letters can be taken back", async () => {
  const asked: string[] = [];
  const modes: boolean[] = [];
  const type = (keys: readonly string[]) => {
    asked.length = 0;
    const terminal = Object.assign(Readable.from(keys), {
      isTTY: true as const,
      setRawMode(isRaw: boolean) {
        modes.push(isRaw);
        return this as never;
      },
    });
    return readSecret(terminal, (text) => asked.push(text));
  };
  assert.equal(await type(["a", "b", "x", "\u007f", "c\r", "abc", "\r"]), "abc");
  assert.deepEqual(asked, ["Password: ", "\nAgain: ", "\n"]);
  await assert.rejects(type(["abc\rabd\r"]), /two different passwords/);
  await assert.rejects(type(["ab", "\u0003"]), /nothing was changed/);
  assert.deepEqual(modes, [true, false, true, false, true, false], "the terminal is left as it was");
});
