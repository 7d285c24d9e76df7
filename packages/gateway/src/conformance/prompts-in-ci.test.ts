import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { check } from "../cli/commands/check.ts";
import { fillPath } from "../dialects/path.ts";
import { promptsSchemaText } from "../prompts/description.ts";
import { CALLS } from "../routes.ts";
import { post } from "./calls.ts";
import { chatAnswer, startRawProvider, writeJson } from "./raw-provider.ts";
import { SAMPLES, type Sample, sentBody } from "./samples.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const EXAMPLE = join(ROOT, "examples/prompts");
const WORKFLOW = readFileSync(join(EXAMPLE, "prompts.yml"), "utf8");

const isMissing = ["bash", "git"].find((program) => spawnSync(program, ["--version"]).error !== undefined);
const skip = isMissing !== undefined && `not run: there is no ${isMissing} here`;

interface Step {
  readonly name?: string;
  readonly run?: string;
  readonly uses?: string;
  readonly if?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Workflow {
  readonly on: { readonly pull_request: { readonly paths: readonly string[] } };
  readonly jobs: { readonly check: { readonly steps: readonly Step[] } };
}

/** What expressions of the workflow stand for in a pull request. */
const CONTEXT: Readonly<Record<string, string>> = {
  "github.base_ref": "main",
  "github.token": "a token",
  "github.event.pull_request.number": "7",
};

function git(cwd: string, ...args: readonly string[]): void {
  const identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
  const { status, stderr } = spawnSync("git", [...identity, ...args], { cwd });
  assert.equal(status, 0, stderr?.toString());
}

/** A clone, as CI has it, of a repository with the example in its branch main. */
function pullRequest(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "purser-ci-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const origin = join(folder, "origin");
  cpSync(EXAMPLE, origin, { recursive: true });
  git(origin, "init", "-q", "--initial-branch", "main");
  git(origin, "add", ".");
  git(origin, "commit", "-qm", "before");
  git(folder, "clone", "-q", origin, "clone");
  mkdirSync(join(folder, "bin"));
  // The program that was built, and a GitHub that notes what it is told.
  writeFileSync(join(folder, "bin/npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
  const gh = '#!/bin/sh\necho "$@" > ../gh-arguments\nfor last; do :; done\ncp "$last" ../comment\n';
  writeFileSync(join(folder, "bin/gh"), gh, { mode: 0o755 });
  return join(folder, "clone");
}

/** Runs the steps as GitHub does: after one that failed, only those that say `always()`. Returns whether all went well. */
function runSteps(cwd: string): boolean {
  const { steps } = (parse(WORKFLOW) as Workflow).jobs.check;
  let isWell = true;
  for (const { run, env = {}, if: condition = "" } of steps) {
    if (run === undefined || (!isWell && !condition.includes("always()"))) continue;
    const values = Object.entries(env).map(([name, value]) => [
      name,
      value.replace(/\$\{\{ (.+?) \}\}/g, (_, path: string) => CONTEXT[path] ?? "?"),
    ]);
    const PATH = `${join(cwd, "../bin")}${delimiter}${process.env.PATH}`;
    const { status, stderr } = spawnSync("bash", ["-e", "-c", run], {
      cwd,
      env: { PATH, HOME: cwd, GITHUB_STEP_SUMMARY: "../summary", ...Object.fromEntries(values) },
    });
    assert.equal(stderr.toString(), "", run);
    isWell &&= status === 0;
  }
  return isWell;
}

const written = (cwd: string, name: string) => readFileSync(join(cwd, "..", name), "utf8");

test("the workflow of the guide is the one of the example, is YAML, and looks at every file that the prompts need", () => {
  assert.ok(readFileSync(join(ROOT, "docs/guides/prompts-in-ci.md"), "utf8").includes(`\n${WORKFLOW}\`\`\`\n`));
  const { on, jobs } = parse(WORKFLOW) as Workflow;
  for (const path of on.pull_request.paths) assert.ok(existsSync(join(EXAMPLE, path.replace("/**", ""))), path);
  assert.deepEqual(jobs.check.steps[0]?.with, { "fetch-depth": 0 });
});

test("a pull request that fits passes, and its comment says what it costs", { skip }, (t) => {
  const cwd = pullRequest(t);
  const prompts = readFileSync(join(cwd, "prompts.yaml"), "utf8");
  writeFileSync(join(cwd, "prompts.yaml"), prompts.replace("calls_a_day: 300", "calls_a_day: 600"));
  assert.equal(runSteps(cwd), true);
  assert.match(
    written(cwd, "comment"),
    /^### Prompts: everything fits\n\n\*\*Compared with origin\/main \(.{7}\): the expected calls cost \$12\.98 a month more/,
  );
  assert.equal(written(cwd, "summary"), written(cwd, "comment"));
  assert.equal(written(cwd, "gh-arguments"), "pr comment 7 --edit-last --create-if-none --body-file prompts.md\n");
});

test("a pull request that does not fit fails, and its comment says why; so does one that cannot be read", { skip }, (t) => {
  const cwd = pullRequest(t);
  const prompts = readFileSync(join(cwd, "prompts.yaml"), "utf8");
  writeFileSync(join(cwd, "prompts.yaml"), prompts.replace("max_output: 1000", "max_output: 4000"));
  assert.equal(runSteps(cwd), false);
  assert.match(
    written(cwd, "comment"),
    /^### Prompts: 1 problem\n\n\*\*Problems\*\*\n\n- prompts\.yaml:5 chat: Its output cap of 4,000 tokens does not fit/,
  );
  writeFileSync(join(cwd, "prompts.yaml"), prompts.replace("model:", "modell:"));
  assert.equal(runSteps(cwd), false);
  assert.match(
    written(cwd, "comment"),
    /^### Prompts: 2 problems\n\n\*\*Problems\*\*\n\n- prompts\.yaml:8:5 prompts\\\[0\\\]\.modell: unknown field/,
  );
});

test("the published schema of prompts.yaml is the one that the reader is made from", () => {
  const published = readFileSync(join(ROOT, "docs/reference/prompts.schema.json"), "utf8");
  assert.equal(published, promptsSchemaText(), "Write promptsSchemaText() to docs/reference/prompts.schema.json again.");
});

/** Every route that takes JSON and is charged. */
const ROUTES = [...CALLS]
  .filter(([, dialect]) => !dialect.isFree && !dialect.form)
  .map(([template]) => ({
    route: fillPath(template, { version: "v1beta", model: "m", deployment: "m", project: "p", location: "eu" }),
    sample: SAMPLES[template] as Sample,
  }));

/** So long that its bound by size is not enough to admit it, and it is counted. */
const LONG = "ahoy ".repeat(1_000);

test("what is said of a prompt is what a gateway holds for its call, on every route", async (t) => {
  const usage = { input: 12, output: 5 };
  const provider = await startRawProvider(t, (response) => writeJson(response, 200, chatAnswer("Aye.", usage)));
  const budgets = "[{ name: all, per: user, limits: [1M tokens, 1M output tokens, $100] }]";
  const config = `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}\n`;
  const stand = await startStand(t, { config });
  const cwd = mkdtempSync(join(tmpdir(), "purser-held-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, "purser.yaml"), config);
  const prompts = ROUTES.map(({ route }, i) => ({ name: route, body: `${i}.json`, path: route, for: { user: `user ${i}` } }));
  writeFileSync(join(cwd, "prompts.yaml"), JSON.stringify({ prompts }));
  for (const [i, { sample }] of ROUTES.entries()) writeFileSync(join(cwd, `${i}.json`), sentBody(sample, sample.call(LONG)) as string);

  const { json, text } = await check(["--prompts", "prompts.yaml"], { environment: {}, cwd });
  assert.match(text, /Everything fits\.$/);
  for (const [i, { route, sample }] of ROUTES.entries())
    await post(stand.url + route, sentBody(sample, sample.call(LONG)), { "x-purser-user": `user ${i}` });

  const held = (await stand.ledger("reserved")).flatMap((entry) =>
    "detail" in entry
      ? [{ input: entry.detail.inputTokens, cost: entry.detail.cost, limits: entry.postings.map(({ held: amount }) => amount) }]
      : [],
  );
  const said = (json as { prompts: readonly Said[] }).prompts.map(({ input_tokens_most, cost_most_nanodollars, budgets: takes }) => {
    const mostOf = (unit: string) => takes.find((take) => take.unit === unit)?.most;
    return { input: input_tokens_most, cost: cost_most_nanodollars, limits: ["tokens", "output_tokens", "nanodollars"].map(mostOf) };
  });
  assert.ok(ROUTES.length > 40);
  for (const [i, { route }] of ROUTES.entries()) assert.deepEqual(said[i], held[i], route);
});

interface Said {
  readonly input_tokens_most: number;
  readonly cost_most_nanodollars: number;
  readonly budgets: readonly { readonly unit: string; readonly most: number }[];
}

test("what is refused of a prompt is what a gateway refuses of its call, in the same words", async (t) => {
  const provider = await startRawProvider(t, (response) => writeJson(response, 200, chatAnswer("Aye.", { input: 12, output: 5 })));
  const budgets = [
    "{ name: short, for: { feature: short }, request: { max_input: 500 } }",
    "{ name: other model, for: { feature: other }, request: { models: [n] } }",
    "{ name: tiny, for: { feature: tiny }, limits: [50 tokens / day] }",
    "{ name: shut, for: { feature: shut }, limits: [0 requests] }",
  ];
  const config = `${providersAt(provider.url)}\n${PRICES}\nbudgets:\n  - ${budgets.join("\n  - ")}\n`;
  const stand = await startStand(t, { config });
  const cwd = mkdtempSync(join(tmpdir(), "purser-refused-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  const body = JSON.stringify({ model: "m", max_tokens: 100, messages: [{ role: "user", content: LONG }] });
  const features = ["short", "other", "tiny", "shut", "open"];
  const prompts = features.map((feature) => ({ name: feature, body: "body.json", for: { feature } }));
  for (const [name, text] of Object.entries({ "purser.yaml": config, "prompts.yaml": JSON.stringify({ prompts }), "body.json": body }))
    writeFileSync(join(cwd, name), text);

  const { json } = await check(["--prompts", "prompts.yaml"], { environment: {}, cwd });
  const { findings } = json as { findings: readonly { kind: string; prompts: readonly string[]; message: string }[] };
  for (const feature of features) {
    const { status } = await post(`${stand.url}/v1/chat/completions`, body, { "x-purser-feature": feature });
    const found = findings.find((finding) => finding.prompts.includes(feature));
    const refused = (await stand.ledger("denied")).findLast((entry) => "detail" in entry && entry.detail.subject.feature === feature);
    const reason = refused?.kind === "denied" ? refused.reason : undefined;
    assert.deepEqual([status === 200, found?.kind], [reason === undefined, reason], feature);
    assert.equal(found === undefined, feature === "open");
  }
});
