import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { check } from "./check.ts";

type Files = Readonly<Record<string, string | Uint8Array>>;

const PRICES =
  "prices: [{ model: m, input: 1, output: 10, max_output: 1000, context: 8000 }, { model: m2, input: 2, output: 10, max_output: 1000 }]\n";
const PROVIDERS = "providers: { house: { dialect: openai, base_url: http://127.0.0.1:9/v1, api_key: none, models: [m, m2, nameless] } }\n";

function config(budgets: string): string {
  return `${PROVIDERS}${PRICES}budgets: ${budgets}\n`;
}

/** What most of these say. */
const PLAIN = { model: "m", system: "p.md", answer: 100, max_output: 200 };

function listed(...prompts: readonly object[]): string {
  return JSON.stringify({ prompts: prompts.map((prompt, i) => ({ name: `p${i}`, ...prompt })) });
}

/** A text of so many words, each a token. */
function words(number: number): string {
  return "word ".repeat(number).trim();
}

function folder(t: TestContext, files: Files): string {
  const cwd = mkdtempSync(join(tmpdir(), "purser-prompts-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  write(cwd, files);
  return cwd;
}

function write(cwd: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), content);
  }
}

interface Json {
  readonly ok: boolean;
  readonly prompts: readonly {
    readonly name: string;
    readonly model: string;
    readonly provider: string;
    readonly endpoint: string;
    readonly input_tokens: number;
    readonly input_tokens_most: number;
    readonly output_tokens: number;
    readonly output_tokens_most: number;
    readonly cost_nanodollars: number;
    readonly cost_most_nanodollars: number;
    readonly day_nanodollars: number;
    readonly month_nanodollars: number;
    readonly rungs: readonly string[];
    readonly budgets: readonly {
      readonly budget: string;
      readonly subject: string;
      readonly most: number;
      readonly usual: number;
      readonly calls_a_day: number;
    }[];
  }[];
  readonly budgets: readonly {
    readonly budget: string;
    readonly limit: string;
    readonly subject: string;
    readonly day: number | null;
    readonly in_window: number | null;
  }[];
  readonly findings: readonly {
    readonly kind: string;
    readonly prompts: readonly string[];
    readonly message: string;
    readonly line: number | null;
  }[];
  readonly problems: readonly { readonly line: number; readonly path: string; readonly message: string }[];
  readonly remarks: readonly string[];
  readonly compared: {
    readonly with: string;
    readonly unreadable?: readonly string[];
    readonly remarks: readonly string[];
    readonly month_nanodollars: { readonly before: number; readonly after: number };
    readonly changes: readonly {
      readonly name: string;
      readonly before: object | null;
      readonly after: object | null;
      readonly also: readonly string[];
    }[];
  };
}

async function run(cwd: string, ...args: readonly string[]) {
  const { exit, text, json } = await check(["--prompts", "prompts.yaml", ...args], { environment: process.env, cwd });
  return { exit, text, json: json as Json };
}

async function checked(t: TestContext, files: Files, ...args: readonly string[]) {
  return run(folder(t, { "purser.yaml": config("[]"), "p.md": words(20), ...files }), ...args);
}

/** The kinds of what was found, each with its message. */
async function findings(t: TestContext, budgets: string, prompt: object, files: Files = {}) {
  const { exit, json } = await checked(t, { "purser.yaml": config(budgets), "prompts.yaml": listed({ ...PLAIN, ...prompt }), ...files });
  assert.equal(exit, json.findings.length > 0 ? 1 : 0);
  return json.findings.map(({ kind, message }) => `${kind}: ${message}`);
}

describe("a prompt", () => {
  test("costs what its tokens cost, a call, a day and a month, to the nano-dollar", async (t) => {
    const { exit, text, json } = await checked(t, { "prompts.yaml": listed({ ...PLAIN, calls_a_day: 1000 }) });
    const [prompt] = json.prompts;
    assert.ok(prompt && prompt.input_tokens >= 20 && prompt.input_tokens_most >= prompt.input_tokens);
    const { cost_nanodollars: cost } = prompt;
    assert.equal(cost, prompt.input_tokens * 1_000 + 100 * 10_000);
    assert.equal(prompt.cost_most_nanodollars, prompt.input_tokens_most * 1_000 + 200 * 10_000);
    assert.deepEqual([prompt.day_nanodollars, prompt.month_nanodollars], [cost * 1_000, cost * 31_000]);
    assert.deepEqual([exit, json.ok], [0, true]);
    assert.match(text, /Everything fits\.$/);
  });

  test("without a word on its answer costs its cap, and without a cap what the model writes at most", async (t) => {
    const { answer: _, ...capped } = PLAIN;
    const { json } = await checked(t, { "prompts.yaml": listed(capped, { model: "m", system: "p.md" }) });
    assert.deepEqual(
      json.prompts.map(({ output_tokens, output_tokens_most }) => [output_tokens, output_tokens_most]),
      [
        [200, 200],
        [1000, 1000],
      ],
    );
  });

  test("that is read from the provider's cache costs what that costs, and is held in full", async (t) => {
    const prices = "prices: [{ model: m, input: 1, output: 10, cache_read: 0.1, max_output: 1000 }]\n";
    const { json } = await checked(t, {
      "purser.yaml": `${PROVIDERS}${prices}budgets: [{ name: all, limits: [$1 / day] }]\n`,
      "prompts.yaml": listed({ ...PLAIN, cached: "50%" }),
    });
    const [prompt] = json.prompts;
    const { input_tokens = 0, input_tokens_most = 0 } = prompt ?? {};
    const cachedTokens = Math.floor(input_tokens / 2);
    const cost = (input_tokens - cachedTokens) * 1_000 + cachedTokens * 100 + 100 * 10_000;
    assert.deepEqual([prompt?.cost_nanodollars, prompt?.budgets[0]?.usual], [cost, cost]);
    assert.equal(prompt?.cost_most_nanodollars, input_tokens_most * 1_000 + 200 * 10_000);
  });

  test("is a body in any format, with the cap and the user that the body says, and is counted with its tools", async (t) => {
    const tool = { name: "look", description: words(50), input_schema: { type: "object" } };
    const message = {
      model: "claude-sonnet-4-6",
      max_tokens: 300,
      messages: [{ role: "user", content: words(20) }],
      metadata: { user_id: "ann" },
    };
    const { json, exit, text } = await checked(t, {
      "purser.yaml":
        "providers: { anthropic: { api_key: a }, google: { api_key: b }, openai: { api_key: c } }\nbudgets: [{ name: each, per: user, limits: [1M tokens / day] }]\n",
      "prompts.yaml": listed(
        { body: "a.json", path: "/v1/messages" },
        { body: "b.json", path: "/v1/messages" },
        { body: "c.json", path: "/v1beta/models/gemini-2.5-pro:generateContent" },
        { body: "d.json", path: "/v1/responses", model: "gpt-4o" },
        { body: "e.json", path: "/v1/embeddings" },
      ),
      "a.json": JSON.stringify(message),
      "b.json": JSON.stringify({ ...message, tools: [tool] }),
      "c.json": JSON.stringify({ contents: [{ parts: [{ text: words(20) }] }], generationConfig: { maxOutputTokens: 40 } }),
      "d.json": JSON.stringify({ input: words(20), max_output_tokens: 50 }),
      "e.json": JSON.stringify({ model: "text-embedding-3-small", input: words(20) }),
    });
    assert.equal(exit, 0, text);
    assert.deepEqual(
      json.prompts.map(({ provider, endpoint, output_tokens_most }) => [provider, endpoint, output_tokens_most]),
      [
        ["anthropic", "anthropic-messages", 300],
        ["anthropic", "anthropic-messages", 300],
        ["google", "gemini-content", 40],
        ["openai", "openai-responses", 50],
        ["openai", "openai-embeddings", 0],
      ],
    );
    const [plain, withTool] = json.prompts;
    assert.ok(plain && withTool && withTool.input_tokens > plain.input_tokens + 50);
    assert.equal(plain.budgets[0]?.subject, "user=ann");
  });

  test("as a text goes to its model in chat completions, or in the format in which that is served", async (t) => {
    const { json, exit } = await checked(t, {
      "purser.yaml": "providers: { anthropic: { api_key: a }, google: { api_key: b } }\n",
      "prompts.yaml": listed({ ...PLAIN, model: "claude-sonnet-4-6" }, { ...PLAIN, model: "gemini-2.5-pro", message: "p.md" }),
    });
    assert.equal(exit, 0);
    assert.deepEqual(
      json.prompts.map(({ provider, endpoint, output_tokens_most }) => [provider, endpoint, output_tokens_most]),
      [
        ["anthropic", "anthropic-messages", 200],
        ["google", "openai-chat", 200],
      ],
    );
  });

  test("is as long as its template with the samples in it, from the file or from another", async (t) => {
    const { json } = await checked(t, {
      "prompts.yaml": listed(
        { ...PLAIN, system: "t.md", samples: { a: words(100), b: { file: "b.md" } } },
        { body: "t.json", samples: { a: words(100), b: '"quoted"' } },
      ),
      "t.md": "{{a}} {{ b }}",
      "b.md": words(200),
      "t.json": JSON.stringify({ model: "m", messages: [{ role: "user", content: "{{a}} {{ b }}" }] }),
    });
    const [text, body] = json.prompts;
    assert.ok(text && text.input_tokens >= 300 && text.input_tokens < 350, `${text?.input_tokens}`);
    assert.ok(body && body.input_tokens >= 100 && body.input_tokens < 150, `${body?.input_tokens}`);
  });
});

describe("a prompt is refused in CI", () => {
  test("where its input is larger than a budget allows any call to be", async (t) => {
    const [found] = await findings(
      t,
      "[{ name: chat, for: { feature: chat }, request: { max_input: 100 } }]",
      { for: { feature: "chat" } },
      { "p.md": words(150) },
    );
    assert.match(found ?? "", /^request_too_large: The input has 2\d\d tokens, and budget "chat" allows 100 in one call\./);
  });

  test("only by budgets that are for it", async (t) => {
    const budgets = "[{ name: chat, for: { feature: chat }, request: { max_input: 100 } }]";
    assert.deepEqual(await findings(t, budgets, { for: { feature: "search" } }, { "p.md": words(150) }), []);
  });

  test("where its output cap does not fit, or its usual answer would be cut", async (t) => {
    const budgets = "[{ name: chat, request: { max_output: 150 } }]";
    assert.match(
      (await findings(t, budgets, {}))[0] ?? "",
      /^output_cap: Its output cap of 200 tokens does not fit: budget "chat" allows 150 output tokens in one call, so the gateway lowers it to 150\./,
    );
    const { max_output: _, ...uncapped } = { ...PLAIN, answer: 170 };
    const { json } = await checked(t, { "purser.yaml": config(budgets), "prompts.yaml": listed(uncapped) });
    assert.match(json.findings[0]?.message ?? "", /An answer of 170 output tokens would be cut at 150: budget "chat" allows 150/);
    assert.match(
      (await findings(t, "[]", { answer: 250 }))[0] ?? "",
      /^answer_cut: .* would be cut at 200: its output cap is no more than that/,
    );
    const total = await findings(t, "[{ name: chat, request: { max_total: 150 }, min_output: 10 }]", {});
    assert.match(total[0] ?? "", /^output_cap: .*budget "chat" allows 150 for input and output/);
    assert.deepEqual(
      await findings(
        t,
        "[{ name: other, for: { team: x }, request: { max_output: 10 } }, { name: chat, request: { max_output: 200 } }]",
        {},
      ),
      [],
    );
    assert.match(
      (
        await findings(
          t,
          "[{ name: other, for: { team: x }, request: { max_output: 10 } }, { name: chat, request: { max_output: 150 } }]",
          {},
        )
      )[0] ?? "",
      /budget "chat" allows 150/,
    );
    assert.match(
      (await findings(t, "[]", { max_output: 1200 }))[0] ?? "",
      /^output_cap: Its output cap of 1,200 tokens does not fit: m writes at most 1,000/,
    );
    const money = await findings(t, "[{ name: chat, limits: [$0.001 / day], min_output: 10 }]", { answer: 20 });
    assert.match(money[0] ?? "", /^output_cap: .*budget "chat" has no more than \$0\.001 \/ day, so the gateway lowers it to 9\d\./);
  });

  test("where its model is not allowed, has no price, or is served by nobody", async (t) => {
    assert.match(
      (await findings(t, "[{ name: chat, request: { models: [m2] } }]", {}))[0] ?? "",
      /^model_not_allowed: .*Use one that it allows: m2/,
    );
    const unpriced = await findings(t, "[{ name: all, limits: [$5 / day] }]", { model: "nameless" });
    assert.deepEqual(unpriced.length, 1);
    assert.match(
      unpriced[0] ?? "",
      /^model_unpriced: The model "nameless" of provider "house" has no price, and budget "all" limits money/,
    );
    assert.match(
      (await findings(t, "[]", { model: "nameless" }))[0] ?? "",
      /^model_unpriced: house\/nameless has no price\. Add it under prices/,
    );
    const { json } = await checked(t, {
      "purser.yaml": "providers: { openai: , groq: }\n",
      "prompts.yaml": listed({ ...PLAIN, model: "nobody" }),
    });
    assert.deepEqual(
      json.findings.map(({ kind }) => kind),
      ["provider_unknown"],
    );
  });

  test("where it is larger than its model can read", async (t) => {
    assert.match(
      (await findings(t, "[]", {}, { "p.md": words(9_000) }))[0] ?? "",
      /^context_exceeded: .* m reads and writes at most 8,000/,
    );
  });

  test("where no call of its size fits a budget, ever", async (t) => {
    assert.match((await findings(t, "[{ name: tiny, limits: [100 tokens / day] }]", {}))[0] ?? "", /^request_too_large: .*tiny/);
    assert.match((await findings(t, "[{ name: shut, limits: [0 requests / day] }]", {}))[0] ?? "", /^budget_exhausted: .*shut/);
  });

  test("where the calls of a day do not fit, for all, for each user, and together with others", async (t) => {
    const each = "[{ name: free, for: { tier: free }, per: user, limits: [1k tokens / day] }]";
    const free = { for: { tier: "free" }, calls_a_day: 1000 };
    assert.deepEqual(await findings(t, each, { ...free, per: { user: 5 } }), []);
    assert.match(
      (await findings(t, each, { ...free, per: { user: 50 } }))[0] ?? "",
      /^day_exceeded: The expected calls do not fit budget "free" \(user=one user\): they use 7,\d\d0 tokens a day, and it has 1,000 tokens \/ day\./,
    );
    assert.match((await findings(t, each, free))[0] ?? "", /^day_exceeded: /, "whoever names no user shares one balance");

    const month = "[{ name: all, limits: [$1 / month] }]";
    const { exit, json } = await checked(t, {
      "purser.yaml": config(month),
      "prompts.yaml": listed({ ...PLAIN, calls_a_day: 20 }, { ...PLAIN, calls_a_day: 20 }),
    });
    assert.equal(exit, 1);
    assert.deepEqual(json.findings[0]?.prompts, ["p0", "p1"]);
    assert.deepEqual(await findings(t, month, { calls_a_day: 20 }), []);
    assert.match(
      (await findings(t, "[{ name: rate, limits: [1 requests / minute bucket burst 100] }]", { calls_a_day: 2880 }))[0] ?? "",
      /they use 2 requests a minute, spread evenly over the day/,
    );
  });

  test("and not where a budget only observes: that is a remark", async (t) => {
    const { exit, json } = await checked(t, {
      "purser.yaml": config("[{ name: plan, mode: observe, limits: [$1 / month], request: { max_input: 5 } }]"),
      "prompts.yaml": listed({ ...PLAIN, calls_a_day: 1000 }),
    });
    assert.equal(exit, 0);
    assert.match(json.remarks[0] ?? "", /would not fit budget "plan".*It only observes/);
  });

  test("with the figures of what it would have taken", async (t) => {
    const { json } = await checked(t, {
      "purser.yaml": config("[{ name: chat, limits: [$5 / day], request: { max_input: 5 } }]"),
      "prompts.yaml": listed(PLAIN),
    });
    assert.deepEqual([json.findings.length, json.prompts[0]?.output_tokens_most], [1, 200]);
    assert.equal(json.prompts[0]?.budgets[0]?.most, json.prompts[0]?.cost_most_nanodollars);
  });
});

describe("budgets", () => {
  test("are met as in the gateway: by for, per and exceptions, each with what a call and a day takes", async (t) => {
    const budgets =
      '[{ name: a, for: { team: x }, per: ["tag.customer"], limits: [1M tokens / day, 5 concurrent], exceptions: [{ for: { "tag.customer": acme }, limits: [2M tokens / day] }] }, { name: b, for: { team: y }, limits: [$1 / day] }]';
    const { json, text } = await checked(t, {
      "purser.yaml": config(budgets),
      "prompts.yaml": listed({ ...PLAIN, for: { team: "x", "tag.customer": "acme" }, calls_a_day: 10 }),
    });
    assert.deepEqual(
      json.budgets.map(({ budget, subject, limit }) => [budget, subject, limit]),
      [
        ["a", "tag.customer=acme", "2,000,000 tokens / day"],
        ["a", "tag.customer=acme", "5 at once"],
      ],
    );
    const usual = json.prompts[0]?.budgets.find(({ most }) => most > 1)?.usual ?? 0;
    assert.equal(json.budgets[0]?.day, usual * 10);
    assert.match(text, /5 at once +p0 +20 %$/m);
  });

  test("say only of the limit that a step goes by that it is reached", async (t) => {
    const budgets = "[{ name: soft, owner: kim, limits: [$1 / day, 26 requests / day], ladder: { '50% of $': slow } }]";
    const { json } = await checked(t, { "purser.yaml": config(budgets), "prompts.yaml": listed({ ...PLAIN, calls_a_day: 25 }) });
    assert.deepEqual(json.remarks, []);
  });

  test("say of a step at an amount, too, whether they reach it", async (t) => {
    const reached = async (ladder: string) => {
      const budgets = `[{ name: soft, owner: kim, limits: [$1 / day, 100 requests / day], ladder: ${ladder} }]`;
      return (await checked(t, { "purser.yaml": config(budgets), "prompts.yaml": listed({ ...PLAIN, calls_a_day: 25 }) })).json.remarks;
    };
    assert.match((await reached("{ 25 requests: slow }"))[0] ?? "", /budget "soft" reach its step at 25 requests: slow/);
    assert.deepEqual(await reached("{ 26 requests: slow, 74 requests left: slow }"), []);
    assert.match((await reached("{ 75 requests left: slow }"))[0] ?? "", /reach its step at 75 requests left/);
  });

  test("say which of their rungs the expected calls reach, and which change every call", async (t) => {
    const budgets = "[{ name: soft, limits: [$0.03 / day], ladder: { 0%: use m, 80%: slow } }]";
    const { exit, json } = await checked(t, {
      "purser.yaml": config(budgets),
      "prompts.yaml": listed({ ...PLAIN, model: "m2", calls_a_day: 25 }),
    });
    assert.deepEqual([exit, json.prompts[0]?.model, json.prompts[0]?.rungs], [0, "m", ["use m (soft 0%)"]]);
    assert.match(json.remarks[0] ?? "", /budget "soft" reach its step at 80%: slow/);
    assert.match(json.remarks[1] ?? "", /^Budget "soft" has no owner/);
  });
});

describe("prompts.yaml", () => {
  const wrong: readonly (readonly [what: string, yaml: string, problem: RegExp])[] = [
    [
      "an unknown field",
      "prompts:\n  - name: a\n    modle: m\n",
      /^prompts\.yaml:3:5 {2}prompts\[0\]\.modle: unknown field\. Did you mean "model"\?$/m,
    ],
    [
      "an unknown attribute",
      "prompts: [{ name: a, model: m, system: p.md, for: { feture: x } }]",
      /"feture" is not an attribute of a call.*Did you mean "feature"\?/,
    ],
    [
      "the model as an attribute",
      "prompts: [{ name: a, model: m, system: p.md, for: { model: x } }]",
      /for\.model: is not said here: it follows from model/,
    ],
    [
      "two of one name",
      "prompts: [{ name: a, model: m, system: p.md }, { name: a, model: m, system: p.md }]",
      /prompts\[1\]\.name: "a" names two prompts/,
    ],
    ["nothing", "", /prompts is missing|is empty/],
    ["no text", "prompts: [{ name: a, model: m }]", /prompts\[0\]: names no text/],
    ["no model", "prompts: [{ name: a, system: p.md }]", /model is missing/],
    ["a file that is not there", "prompts: [{ name: a, model: m, system: q.md }]", /prompts\[0\]\.system: q\.md is not there\./],
    ["a folder", "prompts: [{ name: a, model: m, system: sub }]", /sub is a folder/],
    ["a way out", "prompts: [{ name: a, model: m, system: sub/../../p.md }]", /leads out of the folder of this file/],
    ["a file elsewhere", "prompts: [{ name: a, model: m, system: /etc/passwd }]", /leads out of the folder of this file/],
    ["a link that leads out", "prompts: [{ name: a, model: m, system: link.md }]", /link\.md leads out of the folder/],
    ["what never ends", "prompts: [{ name: a, model: m, system: endless }]", /endless leads out of the folder/],
    ["a binary file", "prompts: [{ name: a, model: m, system: binary.png }]", /binary\.png is no text in UTF-8/],
    ["an empty file", "prompts: [{ name: a, model: m, system: empty.md }]", /empty\.md is empty/],
    ["a pointer of LFS", "prompts: [{ name: a, model: m, system: lfs.md }]", /pointer of Git LFS/],
    ["a huge file", "prompts: [{ name: a, model: m, system: huge.md }]", /huge\.md is larger than it may be \(2,048 bytes\)/],
    [
      "a variable without a sample",
      "prompts: [{ name: a, model: m, system: t.md, samples: { articel: x } }]",
      /prompts\[0\]\.samples: t\.md has the variable "article" in line 2, and no sample says what stands for it\. Did you mean "articel"\?/,
    ],
    [
      "a loop",
      "prompts: [{ name: a, model: m, system: loop.md }]",
      /loop\.md has "\{% for x in y %" in line 1, which is more than a variable/,
    ],
    ["a body that is none", "prompts: [{ name: a, body: t.md, model: m }]", /t\.md is no body: The request body is not a JSON object/],
    ["a body with a text beside it", "prompts: [{ name: a, body: ok.json, system: p.md }]", /system: stands beside a body/],
    ["a cap beside a body", "prompts: [{ name: a, body: ok.json, max_output: 5 }]", /max_output: is said by the body itself/],
    [
      "a path that is none",
      "prompts: [{ name: a, body: ok.json, path: /v1/mesages }]",
      /path: There is no POST \/v1\/mesages here.*Did you mean POST \/v1\/messages\?/,
    ],
    ["a path that only counts", "prompts: [{ name: a, body: ok.json, path: /v1/messages/count_tokens }]", /only counts tokens/],
    ["a form", "prompts: [{ name: a, body: ok.json, path: /v1/audio/transcriptions }]", /takes a form/],
    [
      "one user who is all",
      "prompts: [{ name: a, model: m, system: p.md, calls_a_day: 5, for: { user: ann }, per: { user: 2 } }]",
      /per\.user: user has one value under for/,
    ],
    [
      "more calls of one than of all",
      "prompts: [{ name: a, model: m, system: p.md, calls_a_day: 5, per: { user: 6 } }]",
      /is more than the 5 calls of a day/,
    ],
    ["shares of an unknown number", "prompts: [{ name: a, model: m, system: p.md, per: { user: 6 } }]", /Say calls_a_day too/],
    ["more from the cache than all", "prompts: [{ name: a, model: m, system: p.md, cached: 101% }]", /"101%" is more than all of it/],
    [
      "a sample that makes it huge",
      "prompts: [{ name: a, model: m, system: many.md, samples: { a: { file: long.md } } }]",
      /many\.md is larger than any call may be \(server\.max_body\) once its samples stand in it/,
    ],
    [
      "a growth that is none",
      "grows_most: much\nprompts: [{ name: a, model: m, system: p.md }]",
      /grows_most: "much" is not a share\. Write one like 10%\./,
    ],
    ["a name that moves the cursor", 'prompts: [{ name: "a\\e[2J", model: m, system: p.md }]', /has a control character/],
  ];

  for (const [what, yaml, problem] of wrong)
    test(`with ${what} is refused, with the place and what to do`, async (t) => {
      const cwd = folder(t, {
        "purser.yaml": `server: { max_body: 2 kib }\n${config("[]")}`,
        "prompts.yaml": yaml,
        "p.md": "Hello.",
        "sub/x.md": "x",
        "binary.png": new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 0xff]),
        "empty.md": "\n",
        "lfs.md": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
        "huge.md": words(1000),
        "many.md": "{{a}}".repeat(100),
        "long.md": words(100),
        "t.md": "Hello\n{{ article }}",
        "loop.md": "{% for x in y %}a{% endfor %}",
        "ok.json": '{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
      });
      symlinkSync("/etc/hostname", join(cwd, "link.md"));
      symlinkSync("/dev/zero", join(cwd, "endless"));
      const { exit, text } = await run(cwd);
      assert.match(text, problem);
      assert.equal(exit, 1);
    });

  test("is checked without a purser.yaml too: by the catalogue, and by no budget", async (t) => {
    const cwd = folder(t, { "p.md": words(20), "prompts.yaml": listed({ ...PLAIN, model: "gpt-4o-mini" }) });
    const { exit, text, json } = await run(cwd);
    assert.deepEqual([exit, json.prompts[0]?.provider, json.budgets], [0, "openai", []]);
    assert.match(text, /^prompts\.yaml: 1 prompt, by the default configuration \(there is no purser\.yaml\)\./);
  });

  test("has no say in what the environment holds", async (t) => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what somebody would write.
    const { text, json } = await checked(t, { "prompts.yaml": listed({ ...PLAIN, name: "${PATH}" }) });
    assert.ok(!text.includes(process.env.PATH ?? "?"));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as above.
    assert.equal(json.prompts[0]?.name, "${PATH}");
  });

  test("says which samples nobody uses", async (t) => {
    const { exit, json } = await checked(t, { "prompts.yaml": listed({ ...PLAIN, samples: { a: "b" } }) });
    assert.equal(exit, 0);
    assert.match(json.remarks[0] ?? "", /no text of this prompt has the variable "a"/);
  });

  test("that is not there, or a wrong option, exits 2; a wrong purser.yaml exits 1 before it", async (t) => {
    const cwd = folder(t, { "purser.yaml": config("[]") });
    const missing = await run(cwd);
    assert.deepEqual([missing.exit, (missing.json as unknown as { error: { code: string } }).error.code], [2, "prompts_missing"]);
    symlinkSync("/dev/zero", join(cwd, "prompts.yaml"));
    assert.match((await run(cwd)).text, /prompts\.yaml is no file\. Check the path/);
    rmSync(join(cwd, "prompts.yaml"));
    const alone = await check(["--against", "main"], { environment: {}, cwd });
    assert.equal(alone.exit, 2);
    assert.match(alone.text, /--against is about prompts\. Name their file: --prompts prompts\.yaml/);
    writeFileSync(join(cwd, "purser.yaml"), "budget: []\n");
    const wrongConfig = await run(cwd);
    assert.equal(wrongConfig.exit, 1);
    assert.match(wrongConfig.text, /purser\.yaml:1:1 {2}budget: unknown field/);
  });
});

function git(cwd: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(
    "git",
    ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main", ...args],
    { cwd },
  );
  assert.equal(status, 0, stderr?.toString());
}

describe("a change", () => {
  const before: Files = {
    "purser.yaml": config("[{ name: all, limits: [$500 / month] }]"),
    "prompts.yaml": listed({ ...PLAIN, name: "kept", calls_a_day: 1000 }, { ...PLAIN, name: "gone", calls_a_day: 10 }),
    "p.md": words(100),
  };

  /** A repository in which this was committed, and a working folder below its root. */
  function repository(t: TestContext, below = "."): string {
    const root = folder(t, {});
    const cwd = join(root, below);
    write(cwd, before);
    git(root, "init", "-q");
    git(root, "add", ".");
    git(root, "commit", "-qm", "before");
    return cwd;
  }

  const after: Files = {
    "prompts.yaml": listed({ ...PLAIN, name: "kept", calls_a_day: 2000 }, { ...PLAIN, name: "new", calls_a_day: 10 }),
    "p.md": words(110),
  };

  for (const below of [".", "services/chat"])
    test(`is compared with a commit of git, in a folder ${below} of it, and nothing is checked out`, async (t) => {
      const cwd = repository(t, below);
      write(cwd, after);
      const { exit, json, text } = await run(cwd, "--against", "main");
      const names = json.compared.changes.map(({ name, before: one, after: other, also }) => [name, one !== null, other !== null, also]);
      assert.deepEqual(names, [
        ["kept", true, true, ["calls a day 1,000 → 2,000"]],
        ["new", false, true, ["added"]],
        ["gone", true, false, ["removed"]],
      ]);
      const { before: former, after: latter } = json.compared.month_nanodollars;
      const [kept, added] = json.prompts;
      assert.equal(latter, (kept?.month_nanodollars ?? 0) + (added?.month_nanodollars ?? 0));
      const formerCall = 1_000 * ((kept?.input_tokens ?? 0) - 10) + 100 * 10_000;
      assert.equal(former, formerCall * 1_010 * 31);
      assert.match(text, /Compared with main \([0-9a-f]{7}\): the expected calls cost \$\d+\.\d\d a month more \(\+\d+(\.\d)? %\)/);
      assert.equal(exit, 0);
    });

  test("is compared with a folder the same", async (t) => {
    const cwd = repository(t);
    const other = folder(t, {});
    cpSync(cwd, join(other, "old"), { recursive: true });
    write(other, { "purser.yaml": config("[]"), ...after });
    const { json } = await run(other, "--against", "./old");
    write(cwd, after);
    const { json: byGit } = await run(cwd, "--against", "HEAD");
    assert.deepEqual({ ...json.compared, with: "" }, { ...byGit.compared, with: "" });
  });

  test("that lets a prompt grow by more than it may is refused, and by less is not", async (t) => {
    const cwd = repository(t);
    const may = (share: string) => JSON.stringify({ grows_most: share, ...JSON.parse(before["prompts.yaml"] as string) });
    write(cwd, { "p.md": words(130), "prompts.yaml": may("10%") });
    const { exit, json } = await run(cwd, "--against", "HEAD");
    assert.equal(exit, 1);
    assert.deepEqual(
      json.findings.map(({ kind, prompts }) => [kind, prompts]),
      [
        ["grown", ["kept"]],
        ["grown", ["gone"]],
      ],
    );
    assert.match(json.findings[0]?.message ?? "", /grew from 1\d\d to 1\d\d tokens \(\+2\d(\.\d)? %\), and grows_most allows \+10 %/);
    write(cwd, { "prompts.yaml": may("30%") });
    assert.equal((await run(cwd, "--against", "HEAD")).exit, 0);
  });

  test("of prices, models and caps is said, at the prices that held", async (t) => {
    const cwd = repository(t);
    write(cwd, { "purser.yaml": (before["purser.yaml"] as string).replace("{ model: m, input: 1,", "{ model: m, input: 3,") });
    const dearer = await run(cwd, "--against", "HEAD");
    assert.match(dearer.json.compared.changes[0]?.also.join() ?? "", /price of input.* \$1.* → \$3/);
    assert.ok(dearer.json.compared.month_nanodollars.after > dearer.json.compared.month_nanodollars.before);
    write(cwd, {
      "purser.yaml": before["purser.yaml"] as string,
      "prompts.yaml": (before["prompts.yaml"] as string).replaceAll('"m"', '"m2"').replaceAll("200", "210"),
    });
    const moved = await run(cwd, "--against", "HEAD");
    assert.deepEqual(moved.json.compared.changes[0]?.also, ["model house/m → house/m2", "output cap 200 → 210"]);
  });

  test("of nothing is said to be none", async (t) => {
    const { text, exit } = await run(repository(t), "--against", "HEAD");
    assert.equal(exit, 0);
    assert.match(text, /Compared with HEAD \(.{7}\): nothing changes\./);
  });

  test("that brings the first prompts is all new, and one after a commit that was wrong is not compared", async (t) => {
    const root = folder(t, { "README.md": "x" });
    git(root, "init", "-q");
    git(root, "add", ".");
    git(root, "commit", "-qm", "empty");
    write(root, before);
    const first = await run(root, "--against", "HEAD");
    assert.equal(first.exit, 0);
    assert.deepEqual(first.json.compared.remarks.length, 2);
    assert.match(
      first.json.compared.remarks.join("\n"),
      /purser\.yaml is not there at HEAD .*\n.*prompts\.yaml is not there at HEAD \(.*\): every prompt is new\./,
    );
    write(root, { "prompts.yaml": "prompts: [{ name: a, modell: m }]" });
    git(root, "add", ".");
    git(root, "commit", "-qm", "wrong");
    write(root, before);
    const mended = await run(root, "--against", "HEAD");
    assert.equal(mended.exit, 0);
    assert.match(mended.json.compared.unreadable?.[0] ?? "", /modell: unknown field/);
    assert.match(mended.text, /Not compared with HEAD \(.*\), where something is wrong/);
  });

  test("is read out of git as links there lead, and not out of it", async (t) => {
    const cwd = repository(t);
    write(cwd, { "texts/real.md": words(50) });
    symlinkSync("texts/real.md", join(cwd, "link.md"));
    symlinkSync("/etc/hostname", join(cwd, "out.md"));
    write(cwd, { "prompts.yaml": listed({ ...PLAIN, system: "link.md" }) });
    git(cwd, "add", ".");
    git(cwd, "commit", "-qm", "links");
    assert.match((await run(cwd, "--against", "HEAD")).text, /nothing changes/);
    write(cwd, { "prompts.yaml": listed({ ...PLAIN, system: "out.md" }) });
    git(cwd, "commit", "-qam", "out");
    write(cwd, { "prompts.yaml": listed({ ...PLAIN, system: "link.md" }) });
    assert.match((await run(cwd, "--against", "HEAD")).json.compared.unreadable?.[0] ?? "", /out\.md leads out of the folder/);
  });

  const missing: readonly (readonly [what: string, against: string, message: RegExp])[] = [
    ["a ref that is not there", "nosuch", /There is no commit "nosuch" in this repository\..*fetch-depth: 0.*write \.\/nosuch/],
    ["an option in the place of a ref", "--output=x", /is no ref/],
    ["a ref with a way out", "HEAD:../../x", /There is no commit "HEAD:/],
    ["a folder that is not there", "./old", /There is no folder \.\/old/],
    ["a file in the place of a folder", "./p.md", /There is no folder \.\/p\.md/],
  ];
  for (const [what, against, message] of missing)
    test(`cannot be compared with ${what}, and that exits 2`, async (t) => {
      const { exit, text, json } = await run(repository(t), `--against=${against}`);
      assert.match(text, message);
      assert.deepEqual([exit, (json as unknown as { error: { code: string } }).error.code], [2, "baseline_missing"]);
    });

  test("cannot be compared outside of a repository, or without git, and that exits 2", async (t) => {
    const cwd = folder(t, before);
    const outside = await run(cwd, "--against", "main");
    assert.equal(outside.exit, 2);
    assert.match(outside.text, /--against main needs a git repository, and git says: not a git repository/);
    const io = { environment: { PATH: cwd }, cwd };
    const without = await check(["--prompts", "prompts.yaml", "--against", "main"], io);
    assert.equal(without.exit, 2);
    assert.match(without.text, /git cannot be run \(ENOENT\)\. Install it, or name a folder/);
  });

  test("is a comment in Markdown, in which a name is only a name", async (t) => {
    const cwd = repository(t);
    const name = "a|b <img src=x> @ann **x** [y](z)";
    write(cwd, { "prompts.yaml": listed({ ...PLAIN, name, calls_a_day: 1_000_000 }) });
    const { exit, text } = await run(cwd, "--against", "HEAD", "--markdown");
    assert.equal(exit, 1);
    assert.match(text, /^### Prompts: 1 problem\n\n\*\*Problems\*\*\n\n- prompts\.yaml /);
    assert.match(text, /^\*\*Compared with HEAD \(.{7}\): the expected calls cost/m);
    const rows = text.split("\n").filter((line) => line.startsWith("| a"));
    for (const row of rows.filter((line) => !line.startsWith("| all")))
      assert.ok(row.startsWith("| a\\|b \\<img src=x\\> @\u200bann \\*\\*x\\*\\* \\[y\\](z) |"), row);
    const tables = text.split("\n\n").filter((part) => part.startsWith("|"));
    for (const one of tables) {
      const columns = one.split("\n").map((line) => line.replaceAll("\\|", "").split("|").length);
      assert.equal(new Set(columns).size, 1, one);
    }
  });

  test("with more prompts than a comment has room for is still a comment", async (t) => {
    const prompts = Array.from({ length: 300 }, () => ({ ...PLAIN, calls_a_day: 1, max_output: 300 }));
    const { text, json } = await checked(
      t,
      {
        "purser.yaml": config("[{ name: one, limits: [$5 / day, 1M tokens / day], request: { max_output: 200 } }]"),
        "prompts.yaml": listed(...prompts),
      },
      "--markdown",
    );
    assert.equal(json.findings.length, 300);
    assert.ok(text.length < 65_536, `${text.length}`);
    assert.match(text, /^- … and 250 more\.$/m);
    assert.match(text, /^\| together \|.*\n\n… and 201 rows more\.$/m);
  });
});
