import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DemoProvider, startDemoProvider } from "../demo/provider.ts";

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
/** Only what a program needs to run: no key of the machine's owner reaches a test. */
const ENV = { PATH: process.env.PATH, SystemRoot: process.env.SystemRoot, HOME: tmpdir() };

let folder: string;
let provider: DemoProvider;

interface Ended {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the program to its end. Not synchronously: the provider it calls lives in this process. */
function purser(args: readonly string[], { env = {}, cwd = folder }: { env?: Record<string, string>; cwd?: string } = {}): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...ENV, ...env } });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  return new Promise((resolve) => child.once("close", (exit) => resolve({ exit, out, err })));
}

/** Starts a gateway and waits until it listens. */
async function serve(args: readonly string[] = []) {
  const child = spawn(process.execPath, [MAIN, "serve", "--port", "0", "--json", ...args], {
    cwd: folder,
    env: ENV,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk) => resolve(String(chunk)));
    child.once("exit", (code) => reject(new Error(`The gateway ended with ${code}.`)));
  });
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

function ask(url: string, headers: Record<string, string>, body: object = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "demo-1", messages: [{ role: "user", content: "Hello" }], ...body }),
  });
}

describe("the command line", () => {
  before(async () => {
    provider = await startDemoProvider({ delayMs: 0 });
    folder = mkdtempSync(join(tmpdir(), "purser-cli-"));
    const yaml = `
providers:
  demo: { base_url: { openai: "${provider.url}/v1", anthropic: "${provider.url}" }, api_key: real-key, models: ["demo-*"] }
prices:
  - { provider: demo, model: "demo-*", input: 2.5, output: 10 }
budgets:
  - { name: company, limits: ["$1 / month"] }
  - { name: users, per: user, limits: ["700 tokens / day"] }
`;
    writeFileSync(join(folder, "purser.yaml"), yaml);
  });
  after(async () => {
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("help names every command, and each command explains itself", async () => {
    const { exit, out } = await purser([]);
    assert.equal(exit, 0);
    for (const name of ["serve", "run", "budgets", "grant", "explain", "keys", "check"]) {
      assert.match(out, new RegExp(`^  ${name} `, "m"));
      const help = await purser([name, "--help"]);
      assert.equal(help.exit, 0);
      assert.match(help.out, new RegExp(`^Usage: purser ${name}`, "m"));
    }
    assert.match((await purser(["--version"])).out, /^\d+\.\d+\.\d+\n$/);
  });

  test("what is written wrong is refused with what to write, and exit code 2", async () => {
    for (const [args, words] of [
      [["budgts"], /budgets/],
      [["budgets", "--al"], /no option --al\. Did you mean "--all"\?\nUsage: purser budgets/],
      [["budgets", "company", "users"], /"users" is a word too many/],
      [["serve", "now"], /"now" is a word too many/],
      [["serve", "--port", "0", "--data", "purser.yaml"], /purser\.yaml cannot be used \(EEXIST\)\. It is no folder\./],
      [["keys", "revok", "x"], /revoke/],
      [["keys", "create"], /--name/],
      [["run", "--budget", "$1", "node"], /two dashes/],
      [["run", "--", "node"], /--budget/],
      [["run", "--budget", "two dollars", "--", "node"], /amount/],
      [["run", "--budget", "--", "node"], /--budget needs a value\. Put dollars in single quotes/],
      [["run", "--budget", "00", "--", "node"], /"00" has no unit\. Write dollars as '\$5', in single quotes/],
      [["run", "--budget", "$1", "--", "./purser.yaml"], /"\.\/purser\.yaml" cannot be run \(EACCES\)/],
      [["explain"], /req_/],
      [["budgets", "--config", "nowhere.yaml"], /nowhere\.yaml/],
    ] as const) {
      const { exit, err } = await purser(args);
      assert.equal(exit, 2, args.join(" "));
      assert.match(err, words);
    }
  });

  test("people see keys by name, also one that was revoked, and programs by id", async () => {
    // A key ends the open minute, which the other tests live in.
    const gateway = await serve(["--data", "keyed"]);
    const inKeyed = (args: readonly string[]) => purser([...args, "--data", "keyed"]);
    const made = JSON.parse((await inKeyed(["keys", "create", "--name", "courier", "--json"])).out);
    assert.equal((await ask(gateway.url, { authorization: `Bearer ${made.secret}` })).status, 200);
    const shows = async () => {
      for (const args of [
        ["report", "--by", "key,model"],
        ["top", "--by", "key"],
        ["statement", "--by", "key"],
        ["statement", "--by", "key", "--html"],
      ]) {
        const { out } = await inKeyed(args);
        assert.match(out, /\bcourier\b/, args.join(" "));
        assert.ok(!out.includes(made.id), args.join(" "));
      }
      assert.ok((await inKeyed(["report", "--by", "key", "--csv"])).out.includes(made.id));
      assert.equal(JSON.parse((await inKeyed(["report", "--by", "key", "--json"])).out).data[0].values.key, made.id);
    };
    await shows();
    assert.equal((await inKeyed(["keys", "revoke", made.id])).exit, 0);
    await shows();
    await gateway.stop();
    await shows();
  });

  test("finance gets statements, FOCUS and unit costs, and a status line says what is left, whoever runs and whoever does not", async () => {
    const gateway = await serve();
    for (const user of ["ann", "bob"])
      assert.equal((await ask(gateway.url, { "x-purser-user": user, "x-purser-team": "=sum(1)" })).status, 200);
    writeFileSync(join(folder, "revenue.csv"), "user,revenue\nann,1.50\n");
    const shows = async () => {
      assert.match((await purser(["report", "--compare", "--by", "user"])).out, /Before +Change\nann .* \$0 +new\n/);
      const focus = (await purser(["report", "--focus", "--by", "team"])).out;
      assert.match(focus, /^BilledCost,BillingAccountId,.*\n0\.\d{9},purser,Purser,Gateway,USD,/);
      assert.match(focus, /,'=sum\(1\),'=sum\(1\),team,/);
      assert.match((await purser(["statement"])).out, /=sum\(1\) +nobody +2 /);
      assert.match((await purser(["statement", "--html"])).out, /^<!doctype html>[\s\S]*<h2>team =sum\(1\)<\/h2>/);
      assert.match(
        (await purser(["top", "--by", "user"])).out,
        /^ann +█+.*\n[\s\S]*2 user values in all, \$0\.\d+ since \d{4}-\d\d-01 00:00 \(UTC\)\.$/m,
      );
      const economics = (await purser(["economics", "--afford", "$1", "--by", "user", "--revenue", "revenue.csv"])).out;
      assert.match(economics, /a user and day +\$0\.00/);
      assert.match(economics, /\$1\.00 pays for [\d,]+ calls\.[\s\S]*ann +\$1\.50 +\$0\.00/);
    };
    await shows();
    assert.match((await purser(["statusline", "--url", `${gateway.url}/v1`])).out, /^company \$0\.00\d+ of \$1\.00 \(0 %\), resets in /);
    await gateway.stop();
    await shows();
    assert.deepEqual(await purser(["statusline", "--url", gateway.url]), {
      exit: 0,
      out: "purser: the gateway does not answer\n",
      err: "",
    });
    writeFileSync(join(folder, "revenue.csv"), "ann;1.50\n");
    const wrong = await purser(["economics", "--by", "user", "--revenue", "revenue.csv"]);
    assert.deepEqual([wrong.exit, /Line 1 of .* is not a value and an amount of dollars/.test(wrong.err)], [2, true]);
    rmSync(join(folder, ".purser"), { recursive: true });
  });

  test("with --json, an error is JSON as well", async () => {
    const { exit, out } = await purser(["explain", "req_nothing", "--json"]);
    assert.equal(exit, 1);
    assert.equal(JSON.parse(out).error.code, "reservation_unknown");
  });

  test("budgets, explain and keys say the same while the gateway runs and after it has ended", async () => {
    const gateway = await serve();
    const made = JSON.parse(
      (
        await purser([
          "keys",
          "create",
          "--name",
          "chat",
          "--team",
          "eng",
          "--tag",
          "plan=pro",
          "--may-set",
          "user,session",
          "--expires",
          "30d",
          "--json",
        ])
      ).out,
    );
    const authorization = `Bearer ${made.secret}`;
    const answer = await ask(gateway.url, { authorization, "x-purser-user": "ann" });
    assert.equal(answer.status, 200);
    const id = answer.headers.get("x-purser-request-id") ?? "";
    const refused = await ask(
      gateway.url,
      { authorization, "x-purser-user": "ann" },
      { max_tokens: 4_000, messages: [{ role: "user", content: "word ".repeat(900) }] },
    );
    assert.ok(refused.status === 402 || refused.status === 413, String(refused.status));
    assert.equal((await ask(gateway.url, {})).status, 401);

    const running = await sayings(id);
    assert.equal(await gateway.stop(), 0);
    assert.deepEqual(await sayings(id), running);

    const [balances, explained, , listed] = running.map((text) => JSON.parse(text));
    assert.ok(Array.isArray(balances));
    for (const balance of balances) {
      assert.deepEqual(Object.keys(balance), ["budget", "subject", "unit", "window", "limit", "spent", "held", "left", "resets_at"]);
    }
    assert.deepEqual(
      balances.map(({ budget, subject, held }: Record<string, unknown>) => [budget, subject, held]),
      [
        ["company", "", 0],
        ["users", "user=ann", 0],
      ],
    );
    assert.equal(explained.subject.team, "eng");
    assert.equal(explained.cost_nanodollars, balances[0].spent);
    assert.deepEqual(
      listed.map(({ name }: { name: string }) => name),
      ["chat"],
    );
    assert.ok(!readFileSync(join(folder, ".purser", "keys.json"), "utf8").includes(made.secret));
  });

  test("who only looks leaves no folder behind", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "purser-looks-"));
    for (const command of [["budgets"], ["keys"], ["explain", "last"]]) await purser(command, { cwd: elsewhere });
    assert.deepEqual(readdirSync(elsewhere), []);
    rmSync(elsewhere, { recursive: true, force: true });
  });

  test("people get tables and sentences", async () => {
    const budgets = await purser(["budgets"]);
    assert.match(budgets.out, /^Budget +For +Limit +Used +Spent +Held +Left +Resets$/m);
    assert.deepEqual((await purser(["budgets", "company"])).out.split("\n").length, 3);
    const other = await purser(["budgets", "compny"]);
    assert.deepEqual([other.exit, other.out], [1, 'There is no budget "compny". Did you mean "company"?\n']);
    assert.match(budgets.out, /^users +user=ann +700 tokens \/ day +[█▌░]{16} +\d+ % /m);
    const last = await purser(["explain", "last"]);
    assert.match(last.out, /^req_\S+ was refused \(.*\)\. /);
    const { data } = JSON.parse(`{"data":${(await purser(["keys", "list", "--json"])).out}}`);
    assert.match((await purser(["keys"])).out, new RegExp(`${data[0].id} +chat +caller +team=eng tag\\.plan=pro +user, session +Ends `));
    const keys = join(folder, ".purser", "keys.json");
    writeFileSync(keys, readFileSync(keys, "utf8").replace(/("expiresAt": ?)\d+/, `$1${Date.UTC(2026, 0, 31)}`));
    assert.match((await purser(["keys", "list"])).out, / Ended 2026-01-31 00:00 UTC\.$/m);
    assert.match((await purser(["top", "--since", "yesterday"])).err, /^--since is "yesterday"\. Write 30d or 12h for so long ago, a day/);
    const on = await purser(["on", "chatbot"]);
    assert.deepEqual([on.exit, /`purser switches` lists those that are/.test(on.out)], [1, true], on.out);
    assert.equal((await purser(["keys", "revoke", data[0].id])).exit, 0);
    assert.equal((await purser(["keys", "revoke", data[0].id])).exit, 1);
  });

  test("the demo answers, refuses by its tiny budget, and is found by `purser budgets`", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "purser-demo-"));
    const child = spawn(process.execPath, [MAIN, "serve", "--demo", "--port", "0"], {
      cwd: elsewhere,
      env: ENV,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    try {
      const text = await new Promise<string>((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk))));
      const commands = [...text.replaceAll("\\\n", "").matchAll(/^ +(curl .*)$/gm)].map(([, line = ""]) => line);
      assert.equal(commands.length, 3);
      const statuses = commands.map((command) => bash(`${command} -s -o /dev/null -w '%{http_code}'`, elsewhere));
      assert.deepEqual(statuses, ["200", "200", "200"]);
      assert.equal(bash(`${commands[2]} -s -o /dev/null -w '%{http_code}'`, elsewhere), "402");
      const budgets = JSON.parse((await purser(["budgets", "--json"], { cwd: elsewhere })).out);
      assert.ok(budgets.find(({ budget }: { budget: string }) => budget === "company").spent > 0);
      const looks = async () => {
        const priced = await purser(["price", "demo-1", "--input", "1000000"], { cwd: elsewhere });
        assert.match(priced.out, /^demo\/demo-1\n[\s\S]*costs \$2\.50\.$/m);
        assert.match((await purser(["explain", "--model", "demo-1"], { cwd: elsewhere })).out, /openai-chat +demo +/);
        const replayed = await purser(["replay"], { cwd: elsewhere });
        assert.match(replayed.out, /^3 calls from .*, under the budgets of the demo\./);
      };
      await looks();
      child.kill("SIGINT");
      assert.equal(await exited, 0);
      await looks();
      writeFileSync(join(elsewhere, "purser.yaml"), "budgets: []\n");
      const configured = await purser(["price", "demo-1"], { cwd: elsewhere });
      assert.match(configured.err, /^demo-1 is a model of the demo, which `purser serve --demo` starts/);
    } finally {
      child.kill("SIGINT");
      assert.equal(await exited, 0);
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });

  test("grants and resets are made while the gateway runs and while it does not", async () => {
    const given = ["grant", "users", "300 tokens / day", "--for", "user=cy", "--until", "7d", "--why", "a demonstration", "--giver", "Ben"];
    const first = await purser(given);
    assert.match(first.out, /^grant_\S+: "users" \(user=cy\) has 300 tokens \/ day more from .* until .* UTC\.\n$/);
    const gateway = await serve();
    try {
      const { secret } = JSON.parse((await purser(["keys", "create", "--name", "cy", "--user", "cy", "--json"])).out);
      assert.equal((await ask(gateway.url, { authorization: `Bearer ${secret}` }, { max_tokens: 900 })).status, 200);
      assert.match((await purser(["grant", "list"])).out, /users +user=cy +\+ 300 tokens \/ day .* Ben +a demonstration/);
      const [balance] = JSON.parse((await purser(["budgets", "--budget", "users", "--json"])).out).filter(
        (one: { subject: string }) => one.subject === "user=cy",
      );
      assert.equal(balance.limit, 1_000);
      assert.ok(balance.spent > 0);
      const reset = await purser(["budgets", "reset", "users", "--for", "user=cy", "--why", "a loop", "--json"]);
      assert.deepEqual(JSON.parse(reset.out), [{ ...balance, spent: 0, left: 1_000 }]);
      const id = JSON.parse((await purser(["grant", "list", "--json"])).out)[0].id;
      assert.match((await purser(["grant", "revoke", id])).out, /^Revoked grant_/);
      const gone = await purser(["grant", "revoke", id]);
      assert.deepEqual([gone.exit, gone.out], [1, `There is no grant "${id}" that has not ended. \`GET /api/grants\` lists them.\n`]);
    } finally {
      await gateway.stop();
    }
    assert.match((await purser(["grant", "list"])).out, /^No grant is in force/);
    const offline = await purser(["budgets", "reset", "company", "--why", "the end of the trial", "--json"]);
    assert.equal(JSON.parse(offline.out)[0].spent, 0);
    for (const [args, exit, words] of [
      [["grant", "user", "300 / day", "--until", "7d", "--why", "x"], 1, /no budget "user"\. Did you mean "users"\?/],
      [["grant", "users", "300 / day", "--for", "cy", "--until", "7d", "--why", "x"], 2, /is written user=ann/],
      [["grant", "users", "300 / day", "--for", "user=cy", "--why", "x"], 2, /Say when it ends/],
      [["grant", "users", "300 / day", "--for", "user=cy", "--until", "7d"], 2, /Say why/],
      [["grant", "users"], 2, /BUDGET AMOUNT/],
      [["budgets", "reset"], 2, /Say which budget/],
      [["budgets", "rest", "users"], 2, /Did you mean "reset"\?/],
      [["budgets", "reset", "users", "--why", "x"], 2, /a balance for each user: name one/],
    ] as const) {
      const refused = await purser(args);
      assert.equal(refused.exit, exit, args.join(" "));
      assert.match(refused.out + refused.err, words);
    }
  });
});

/** What every reading command says in JSON. */
async function sayings(id: string): Promise<readonly string[]> {
  const commands = [["budgets"], ["explain", id], ["explain", "refused"], ["keys", "list"]];
  const ended = [];
  for (const command of commands) ended.push(await purser([...command, "--json"]));
  for (const { exit, err } of ended) assert.equal(exit, 0, err);
  return ended.map(({ out }) => out);
}

function bash(command: string, cwd: string): string {
  return spawnSync("bash", ["-c", command], { cwd, encoding: "utf8" }).stdout;
}

describe("purser run", () => {
  before(async () => {
    provider = await startDemoProvider({ delayMs: 0 });
    folder = mkdtempSync(join(tmpdir(), "purser-run-test-"));
    writeFileSync(
      join(folder, "purser.yaml"),
      `providers: { demo: { base_url: { openai: "${provider.url}/v1" }, api_key: real-key, models: ["demo-*"] } }\nprices: [{ provider: demo, model: "demo-*", input: 2.5, output: 10 }]\n`,
    );
    writeFileSync(join(folder, "agent.mjs"), AGENT);
  });
  after(async () => {
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("the program meets its budget as a 402 with our words, and the bill says where the money went", async () => {
    const { exit, out, err } = await purser(["run", "--budget", "$0.006", "--json", "--", process.execPath, "agent.mjs"], {
      env: { OPENAI_API_KEY: "sk-the-real-one" },
    });
    const seen = JSON.parse(out);
    assert.equal(exit, 7);
    assert.equal(seen.status, 402);
    assert.match(seen.message, /^Budget "run" .*\$0\.00\d+ .*of \$0\.006 .*does not reset/);
    assert.match(seen.key, /^pk-/);
    const bill = JSON.parse(err.trim().split("\n").at(-1) ?? "");
    assert.equal(bill.exit, 7);
    assert.equal(bill.calls, seen.answers);
    assert.equal(bill.refused, 1);
    assert.equal(bill.models[0].output_tokens, seen.outputTokens);
    assert.equal(bill.budgets[0].spent, bill.cost_nanodollars);
    assert.ok(bill.cost_nanodollars > 0 && bill.cost_nanodollars <= 6_000_000);
  });

  test("the bill is printed for people on stderr, and stdout is the program's own", async () => {
    const { out, err, exit } = await purser([
      "run",
      "--budget",
      "100k tokens",
      "--budget",
      "2 requests",
      "--",
      process.execPath,
      "agent.mjs",
    ]);
    assert.equal(exit, 7);
    JSON.parse(out);
    assert.match(err, /Purser: 2 calls, 1 refused, \$0\.00\d+\./);
    assert.match(err, /^demo-1 +2 +/m);
    assert.match(err, /^Last refusal: Budget "run" .*of 2 requests/m);
  });

  test("a kept folder keeps each run's ledger, and gives each its full budget", async () => {
    for (let i = 0; i < 2; i++) {
      const { err } = await purser(["run", "--budget", "1 request", "--data", "kept", "--", process.execPath, "agent.mjs"]);
      assert.match(err, /Purser: 1 call, 1 refused/);
      const [, command = ""] = /^The ledger is in .*: purser (.*)$/m.exec(err) ?? [];
      assert.match((await purser(command.split(" "))).out, /was refused/);
    }
  });

  test("the exit code is the program's own, by a signal too, and a missing program is said to be missing", async () => {
    assert.equal((await purser(["run", "--budget", "$1", "--", process.execPath, "-e", "process.exit(3)"])).exit, 3);
    assert.equal((await purser(["run", "--budget", "$1", "--", process.execPath, "-e", "process.kill(process.pid, 'SIGKILL')"])).exit, 137);
    const missing = await purser(["run", "--budget", "$1", "--", "no-such-program"]);
    assert.equal(missing.exit, 2);
    assert.match(missing.err, /no command "no-such-program"/);
  });

  test("a signal reaches the program, and the bill still comes", async () => {
    const waits = "process.on('SIGTERM', () => process.exit(5)); process.stdout.write('ready'); setInterval(() => {}, 1000)";
    const child = spawn(process.execPath, [MAIN, "run", "--budget", "$1", "--", process.execPath, "-e", waits], { cwd: folder, env: ENV });
    let err = "";
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    const exited = new Promise((resolve) => child.once("close", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGTERM");
    assert.equal(await exited, 5);
    assert.match(err, /Purser: 0 calls, none refused/);
    assert.match(err, /No call came through Purser\. .*OPENAI_BASE_URL or ANTHROPIC_BASE_URL/);
  });

  test("a program of every maker finds the gateway, and gets a key that is worth the budget", async () => {
    const shows = `console.log(JSON.stringify(Object.fromEntries(Object.entries(process.env).filter(([name]) => /BASE|HOST|ENDPOINT|API_URL|_KEY/.test(name)))))`;
    const { out } = await purser(["run", "--budget", "$1", "--", process.execPath, "-e", shows], { env: { GOOGLE_API_KEY: "real" } });
    const { OPENAI_BASE_URL: openai, OPENAI_API_KEY: key, ...others } = JSON.parse(out);
    const url = openai.replace(/\/v1$/, "");
    assert.match(key, /^pk-/);
    assert.deepEqual(others, {
      OPENAI_API_BASE: openai,
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: key,
      GOOGLE_GEMINI_BASE_URL: url,
      GEMINI_API_KEY: key,
      GOOGLE_API_KEY: key,
    });
    const keys = { GROQ_API_KEY: "real", AWS_BEARER_TOKEN_BEDROCK: "real" };
    const makers = join(folder, "makers.yaml");
    writeFileSync(makers, "providers:\n  groq:\n  bedrock:\n  cohere:\n");
    const args = ["run", "--config", makers, "--budget", "5 requests", "--", process.execPath, "-e", shows];
    const keyed = JSON.parse((await purser(args, { env: keys })).out);
    assert.match(keyed.GROQ_BASE_URL, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(keyed.AWS_ENDPOINT_URL_BEDROCK_RUNTIME, keyed.GROQ_BASE_URL);
    assert.match(keyed.GROQ_API_KEY, /^pk-/);
    assert.equal(keyed.CO_API_URL, undefined, "who has no key with the gateway is not sent there");
    const local = join(folder, "local.yaml");
    writeFileSync(local, `providers:\n  ollama:\n  azure: { base_url: "http://127.0.0.1:9/openai/v1", api_key: k }\n`);
    const withLocal = await purser(["run", "--config", local, "--budget", "5 requests", "--", process.execPath, "-e", shows]);
    const { OLLAMA_HOST, AZURE_OPENAI_ENDPOINT, OLLAMA_API_KEY, AZURE_OPENAI_API_KEY } = JSON.parse(withLocal.out);
    assert.match(OLLAMA_HOST, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(AZURE_OPENAI_ENDPOINT, OLLAMA_HOST);
    assert.match(OLLAMA_API_KEY, /^pk-/);
    assert.equal(AZURE_OPENAI_API_KEY, OLLAMA_API_KEY);
  });

  test("two lines send a program's calls through the gateway, wherever it runs", async () => {
    const { url, stop } = await serve();
    try {
      for (const name of ["claude", "codex", "gemini", "opencode", "qwen", "openai"]) {
        const { exit, out } = await purser(["env", name, "--key", "pk-it's"]);
        assert.equal(exit, 0, name);
        assert.equal(out.trim().split("\n").length, 2, name);
        assert.ok(out.includes(url), out);
        const shell = spawnSync("sh", ["-c", `${out}\nenv; alias`], { encoding: "utf8" });
        assert.equal(shell.status, 0, shell.stderr);
        assert.match(shell.stdout, /_(KEY|TOKEN)=pk-it's$/m, name);
        assert.ok(shell.stdout.includes(url), shell.stdout);
      }
      const { err, out } = await purser(["env", "claude"]);
      assert.match(out, /ANTHROPIC_AUTH_TOKEN=pk-KEY/);
      assert.match(err, /purser keys create/);
      assert.deepEqual(JSON.parse((await purser(["env", "gemini", "--json"], { env: { PURSER_KEY: "pk-1" } })).out), {
        program: "gemini",
        url,
        lines: [`export GOOGLE_GEMINI_BASE_URL=${url}`, "export GEMINI_API_KEY=pk-1"],
      });
      const wrong = await purser(["env", "cluade"]);
      assert.equal(wrong.exit, 2);
      assert.match(wrong.err, /Did you mean "claude"\?/);
    } finally {
      await stop();
    }
  });

  test("without a key of ours, the program's own goes through, and is budgeted all the same", async () => {
    const alone = mkdtempSync(join(tmpdir(), "purser-own-"));
    writeFileSync(join(alone, "agent.mjs"), AGENT);
    try {
      const { out, err } = await purser(["run", "--budget", "2 requests", "--", process.execPath, "agent.mjs"], {
        cwd: alone,
        env: { OPENAI_BASE_URL: `${provider.url}/v1` },
      });
      assert.equal(JSON.parse(out).answers, 2);
      assert.match(err, /Purser: 2 calls, 1 refused, at a cost that is not known/);
      const silent = await purser(["run", "--budget", "$1", "--", process.execPath, "-e", ""], { cwd: alone });
      assert.match(silent.err, /No call came through Purser\.[\s\S]*No key of a provider is known here[\s\S]*set OPENAI_API_KEY/);
    } finally {
      rmSync(alone, { recursive: true, force: true });
    }
  });
});

/** An agent that calls until it is refused, and then says what it saw. */
const AGENT = `
let answers = 0;
let outputTokens = 0;
for (;;) {
  const response = await fetch(process.env.OPENAI_BASE_URL + "/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer " + process.env.OPENAI_API_KEY },
    body: JSON.stringify({ model: "demo-1", max_tokens: 200, messages: [{ role: "user", content: "What next?" }] }),
  });
  const body = await response.json();
  if (!response.ok) {
    console.log(JSON.stringify({ status: response.status, message: body.error.message, key: process.env.OPENAI_API_KEY, answers, outputTokens }));
    process.exit(7);
  }
  answers += 1;
  outputTokens += body.usage.completion_tokens;
}
`;
