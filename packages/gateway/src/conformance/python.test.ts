import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MODELS, REPORTED, startMock } from "./clients.ts";
import { providersAt, startStand } from "./stand.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/python/ask.py", import.meta.url));
const PYTHON = process.env.PURSER_TEST_PYTHON ?? "python3";
const NO_SDKS =
  spawnSync(PYTHON, ["-c", "import openai, anthropic"]).status !== 0 &&
  `${PYTHON} has no openai and anthropic: install them with pip, or name one that has them in PURSER_TEST_PYTHON`;

test("Python's SDKs keep a budget, and their calls go to the provider directly", { skip: NO_SDKS }, async (context) => {
  const mock = await startMock(context);
  const stand = await startStand(context, {
    config: [providersAt("http://127.0.0.1:9"), "budgets: [{ name: users, per: user, limits: [$10 / month, 40k tokens / day] }]"].join(
      "\n",
    ),
  });
  const { secret } = await stand.gateway.keys.create({ name: "program", role: "admin" });
  const env = {
    ...process.env,
    PURSER_URL: stand.url,
    PURSER_KEY: secret,
    PROVIDER_URL: mock.url,
    OPENAI_API_KEY: "sk-1",
    ANTHROPIC_API_KEY: "sk-2",
  };
  const { stdout } = await promisify(execFile)(PYTHON, [EXAMPLE], { env });
  const { input, output } = REPORTED["What is a purser?"];
  assert.match(
    stdout,
    new RegExp(
      [
        `openai: ${input} in, ${output} out`,
        "openai, streamed: True",
        `openai, three at once: ${3 * output} out`,
        `anthropic: ${input} in, ${output} out`,
        'refused: 413 .*Budget "users" \\(user=ann\\)',
      ].join("\n"),
    ),
  );
  const settled = await stand.entries(6, "settled");
  assert.ok(settled.every(({ charge }) => charge.certainty === "confirmed"));
  const [money, tokens] = await stand.gateway.budgets.balances();
  const costOf = ({ input: read, output: written }: { input: number; output: number }) => input * read + output * written;
  assert.deepEqual([money?.spent, money?.held], [5 * costOf(MODELS.openai) + costOf(MODELS.anthropic), 0]);
  assert.deepEqual([tokens?.spent, tokens?.held], [6 * (input + output), 0]);
  await stand.checkBooks();
});
