// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the text of a file, for Purser to fill in.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { formatLimit, PurserError, windowText } from "@purser/core";
import fc from "fast-check";
import { PRESETS } from "../providers/presets/index.ts";
import { at, FAMILIES } from "../providers/provider.ts";
import { CONFIGURATION } from "./description.ts";
import { type ConfigInput, examineConfig, readConfig } from "./read-config.ts";
import { problemText } from "./source.ts";

const EMPTY = { file: "purser.yaml", environment: {} };

function config(text: string, input: Partial<ConfigInput> = {}) {
  return readConfig({ ...EMPTY, text, ...input });
}

function problems(text: string, input: Partial<ConfigInput> = {}) {
  return examineConfig({ ...EMPTY, text, ...input }).problems.map(problemText);
}

function warnings(text: string, input: Partial<ConfigInput> = {}) {
  const reading = examineConfig({ ...EMPTY, text, ...input });
  assert.deepEqual(reading.problems, []);
  return reading.warnings.map(problemText);
}

const WHOLE = `
providers:
  openai:    { api_key: \${OPENAI_API_KEY} }
  anthropic: { api_key: \${ANTHROPIC_API_KEY} }
  qwen:      { api_key: \${DASHSCOPE_API_KEY} }                  # a preset; any base_url works too
  local:     { dialect: openai, base_url: http://127.0.0.1:11434/v1 }

budgets:
  - name: company
    limits: [$50,000 / month, 1M tokens / minute]
    timezone: Europe/Berlin
    owner: finance@example.com
  - name: engineering
    for: { team: engineering }
    limits: [$30,000 / month]
  - name: chatbot
    for: { feature: chatbot }
    limits: [$10,000 / month]
    request: { max_input: 4000, max_output: 1000, models: [gpt-4o, gpt-4o-mini] }
  - name: free users
    for: { tier: free }
    per: user                        # one balance for each user
    limits: [10k tokens / day, 10 requests / hour, 2 concurrent]
  - name: agent task
    per: task
    limits: [$2, 200k tokens]        # no window: for the task's whole life
`;

test("budgets are read as they are written", () => {
  const environment = { OPENAI_API_KEY: "sk-o", ANTHROPIC_API_KEY: "sk-a", DASHSCOPE_API_KEY: "sk-q" };
  const { providers, budgets, ...rest } = config(WHOLE, { environment, cwd: "/srv" });
  assert.deepEqual(
    providers.map(({ name, apiKey, baseUrls }) => [name, apiKey, Object.values(baseUrls)[0]]),
    [
      ["openai", "sk-o", "https://api.openai.com/v1"],
      ["anthropic", "sk-a", "https://api.anthropic.com"],
      ["qwen", "sk-q", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"],
      ["local", undefined, "http://127.0.0.1:11434/v1"],
    ],
  );
  assert.deepEqual(
    budgets.map(({ name, selector, per, limits, timezone, owner }) => [name, selector, per, limits.map(formatLimit), timezone, owner]),
    [
      ["company", {}, [], ["$50,000.00 / month", "1,000,000 tokens / minute"], "Europe/Berlin", "finance@example.com"],
      ["engineering", { team: ["engineering"] }, [], ["$30,000.00 / month"], "UTC", "finance@example.com"],
      ["chatbot", { feature: ["chatbot"] }, [], ["$10,000.00 / month"], "UTC", "finance@example.com"],
      [
        "free users",
        { tier: ["free"] },
        ["user"],
        ["10,000 tokens / day", "10 requests / hour", "2 at once"],
        "UTC",
        "finance@example.com",
      ],
      ["agent task", {}, ["task"], ["$2.00", "200,000 tokens"], "UTC", "finance@example.com"],
    ],
  );
  assert.deepEqual(budgets[2]?.request, { maxInput: 4000, maxOutput: 1000, models: ["gpt-4o", "gpt-4o-mini"] });
  assert.deepEqual(rest, {
    file: "purser.yaml",
    server: { host: "127.0.0.1", port: 4100, publicUrl: undefined, maxBodyBytes: 33_554_432, drainMs: 30_000 },
    dataDir: resolve("/srv", ".purser"),
    store: { redis: undefined, namespace: "purser", postgres: undefined },
    timezone: "UTC",
    routes: [],
    models: [],
    prices: [],
    defaultPrice: undefined,
    allowances: [],
    channels: [],
    answers: new Map(),
    otherFiles: [],
    guards: [],
    watched: [],
    failing: [],
    captured: [],
    unused: [],
    allowanceUsed: [],
    ending: [],
    commitments: [],
    defaultMaxOutput: 4096,
    unseenInput: undefined,
    holds: "full",
    onDisconnect: "abort",
    login: { people: [], oidc: undefined },
    telemetry: undefined,
    expose: { cost: true, left: true, owner: true },
  });
});

test("every problem is told at once, each with its file, line, column and field", () => {
  const text = `server: { prot: 1, max_body: 3 elephants }
budgets:
  - name: a
    limit: [$5 / day]
  - name: a
    for: { teem: x }
    limits: [5 elephants, $1 / fortnight]
    ladder: { 50%: enqueue }
    timezone: Europe/Berlim
routes:
  - { model: gpt-*, provider: opnai }
`;
  // What is wrong with a limit is said by whoever reads limits; here its beginning is enough.
  const told = problems(text).map((problem) => problem.replace(/(cannot be read: "\w+").*/, "$1").replace(/ Write steps as .*/, ""));
  assert.deepEqual(told, [
    'purser.yaml:1:11  server.prot: unknown field. Did you mean "port"?',
    'purser.yaml:1:30  server.max_body: "3 elephants" has no unit that is known. Write it like 32 MiB, with b, kb, mb, gb, kib, mib, gib.',
    'purser.yaml:4:5  budgets[0].limit: unknown field. Did you mean "limits"?',
    'purser.yaml:5:11  budgets[1].name: "a" names two budgets. Each needs a name of its own, since it is how spend is kept.',
    'purser.yaml:6:12  budgets[1].for.teem: "teem" is not an attribute of a call, so this would never select any. Did you mean "team"?',
    'purser.yaml:7:14  budgets[1].limits[0]: The limit "5 elephants" cannot be read: "elephants"',
    'purser.yaml:7:27  budgets[1].limits[1]: The limit "$1 / fortnight" cannot be read: "fortnight"',
    'purser.yaml:8:13  budgets[1].ladder: The ladder cannot be read: "enqueue"',
    'purser.yaml:9:15  budgets[1].timezone: "Europe/Berlim" is not a time zone. Use an IANA name such as Europe/Berlin or UTC.',
    'purser.yaml:11:31  routes[0].provider: no provider "opnai" is configured. Did you mean "openai"?',
  ]);
});

test("one mistake is told once", () => {
  assert.deepEqual(
    problems(`budgets:
  - &a { name: "", limits: [$5] }
  - limits: [$4]
  - { <<: *a, name: b }
providers: { house: { dialect: opnai, base_url: "https://house.example/v1" } }
`).map((problem) => problem.replace(/ is not one of .* Did/, " Did")),
    [
      "purser.yaml:2:16  budgets[0].name: is empty. Write a value or leave the field out.",
      "purser.yaml:3:5  budgets[1]: name is missing.",
      'purser.yaml:4:7  budgets[2]."<<": maps are not merged here. Write the fields out; a whole value can be repeated, by &name and *name.',
      'purser.yaml:5:32  providers.house.dialect: "opnai" Did you mean "openai"?',
    ],
  );
});

test("the error lists its problems readably", () => {
  assert.throws(
    () => config("budget: []\nexpose: { cots: true }\n"),
    (error: unknown) => {
      assert.ok(error instanceof PurserError);
      assert.equal(error.code, "config_invalid");
      assert.equal(
        error.message,
        `The configuration has 2 problems:
  purser.yaml:1:1  budget: unknown field. Did you mean "budgets"?
  purser.yaml:2:11  expose.cots: unknown field. Did you mean "cost"?`,
      );
      return true;
    },
  );
});

test("a field written twice is refused, and so is one that is left empty", () => {
  assert.deepEqual(problems("timezone: UTC\ntimezone: UTC\n"), ["purser.yaml:2:1  timezone: is written twice. Keep one of them."]);
  assert.deepEqual(problems("providers: { openai: {}, openai: {} }\n"), [
    "purser.yaml:1:26  providers.openai: is written twice. Keep one of them.",
  ]);
  assert.match(problems("budgets:\n")[0] ?? "", /^purser\.yaml:1:\d+ {2}budgets: is empty/);
  assert.match(problems("budgets: {}\n")[0] ?? "", /budgets: is not a list/);
  assert.match(problems("- a\n")[0] ?? "", /is not a map/);
  assert.match(problems("budgets: [{ name: a, per: [] }]\n")[0] ?? "", /budgets\[0\]\.per: is an empty list/);
});

test("a variable that is not set is an error that names it; for a key it is a warning", () => {
  assert.deepEqual(problems("timezone: ${ZONE}\n"), [
    "purser.yaml:1:11  timezone: the variable ZONE is not set. Set it, or write ${ZONE:-default}.",
  ]);
  assert.equal(config("timezone: ${ZONE:-UTC}\nserver: { port: ${PORT:-80} }").server.port, 80);
  const text = "providers:\n  openai: { api_key: ${MY_KEY} }\n";
  // A variable that is named is meant: the preset's own does not step in for it.
  const environment = { OPENAI_API_KEY: "sk-other" };
  assert.equal(config(text, { environment }).providers[0]?.apiKey, undefined);
  assert.deepEqual(warnings(text, { environment }), [
    "purser.yaml:2:22  providers.openai.api_key: MY_KEY is not set, so Purser has no key here. Callers can bring their own.",
  ]);
});

test("the key of an administrator is the file's, or that of the preset's own variable", () => {
  const environment = { OPENAI_ADMIN_KEY: "sk-admin-1", ANTHROPIC_ADMIN_API_KEY: "sk-ant-admin-2", MINE: "sk-admin-3" };
  const keys = (text: string) => config(text, { environment }).providers.map(({ name, adminKey }) => [name, adminKey]);
  assert.deepEqual(keys("providers: { openai: {}, anthropic: {}, mistral: {} }\n"), [
    ["openai", "sk-admin-1"],
    ["anthropic", "sk-ant-admin-2"],
    ["mistral", undefined],
  ]);
  assert.deepEqual(keys('providers: { openai: { admin_key: "${MINE}" } }\n'), [["openai", "sk-admin-3"]]);
  assert.deepEqual(warnings('providers: { openai: { admin_key: "${NONE}" } }\n', { environment: { OPENAI_API_KEY: "k" } }), [
    "purser.yaml:1:35  providers.openai.admin_key: NONE is not set, so it is not asked what it billed.",
  ]);
});

test("what a variable held is never repeated in a message", () => {
  const environment = { SECRET: "sk-live-123" };
  for (const field of [
    "timezone: ${SECRET}",
    "on_disconnect: ${SECRET}",
    "default_max_output: ${SECRET}",
    "budgets: [{ name: a, limits: [${SECRET}] }]",
    "budgets: [{ name: a, per: ${SECRET} }]",
    "prices: [{ model: m, input: ${SECRET}, output: 1 }]",
    "server: { drain: ${SECRET}, max_body: ${SECRET}, host: '${SECRET} x' }",
    "providers: { a: { base_url: ${SECRET}, dialect: openai, timeout: ${SECRET} } }",
    "store: { postgres: ${SECRET} }",
    'providers: { openai: { api_key: "${SECRET}\\n" , headers: { x: "a\\u0001${SECRET}" } } }',
  ]) {
    const found = problems(`${field}\n`, { environment }).join("\n");
    assert.notEqual(found, "", field);
    assert.doesNotMatch(found, /sk-live/, field);
  }
});

test("a Redis is named by its address or those of a cluster, and one that is none is not repeated", () => {
  const store = (text: string) => config(`store: ${text}\n`, { environment: { REDIS: "rediss://me:hush@redis.example.com:6380/2" } }).store;
  assert.deepEqual(store("{ redis: redis://127.0.0.1 }").redis, ["redis://127.0.0.1"]);
  assert.deepEqual(store("{ redis: ${REDIS}, namespace: acme.eu }"), {
    redis: ["rediss://me:hush@redis.example.com:6380/2"],
    namespace: "acme.eu",
    postgres: undefined,
  });
  assert.deepEqual(store("{ redis: [redis://a:1, redis://b:2] }").redis, ["redis://a:1", "redis://b:2"]);
  const wrong = {
    "redis://:hush@": /is not a URL of Redis/,
    "http://me:hush@redis.example.com": /is not a URL of Redis/,
    "redis://me:hush@redis.example.com/name": /has a path that is not the number of a database/,
    "redis://me:hush@redis.example.com?db=2": /has a query or fragment/,
  };
  for (const [url, problem] of Object.entries(wrong)) {
    assert.match(problems(`store: { redis: "${url}" }\n`).join(), problem, url);
    assert.doesNotMatch(problems(`store: { redis: "${url}" }\n`).join(), /hush/);
  }
  assert.match(problems("store: { namespace: 'a b' }\n").join(), /"a b" cannot be a namespace/);
});

test("sentinels lead to one primary by its name, and what cannot be meant is refused", () => {
  const { redis, sentinels } = config("store: { redis: redis://:hush@Fleet_1/2, sentinels: [redis://a, redis://:hush@b:26380] }\n").store;
  assert.deepEqual([redis, sentinels], [["redis://:hush@Fleet_1/2"], ["redis://a", "redis://:hush@b:26380"]]);
  assert.deepEqual(config("store: { redis: redis://fleet, sentinels: redis://a }\n").store.sentinels, ["redis://a"]);
  const wrong = {
    "{ sentinels: redis://a }": /store\.sentinels: lead to a Redis that is not named\. Add redis: redis:\/\/NAME/,
    "{ redis: [redis://a, redis://b], sentinels: redis://c }": /lead to one primary/,
    "{ redis: redis://:hush@fleet:6379, sentinels: redis://a }": /know the port of the primary\. Leave it out/,
    "{ redis: redis://fleet, sentinels: redis://:hush@a/2 }": /has a database, and sentinels have none/,
    "{ redis: redis://fleet, sentinels: http://:hush@a }": /is not a URL of Redis/,
  };
  for (const [store, problem] of Object.entries(wrong)) {
    assert.match(problems(`store: ${store}\n`).join(), problem, store);
    assert.doesNotMatch(problems(`store: ${store}\n`).join(), /hush/);
  }
});

test("the address of a database is taken as it is, and one that is none is not repeated", () => {
  const url = "postgres://me:hu%24h@db.example.com:5433/books?sslmode=require";
  assert.deepEqual(config("store: { postgres: ${URL} }\n", { environment: { URL: url } }).store.postgres, url);
  for (const wrong of ["mysql://me:hush@db/books", "postgres:me:hush", "me:hush@db"]) {
    assert.match(problems(`store: { postgres: "${wrong}" }\n`).join(), /store\.postgres: is not the address of a PostgreSQL database/);
    assert.doesNotMatch(problems(`store: { postgres: "${wrong}" }\n`).join(), /hush/);
  }
  assert.match(problems("store: { postgres: ${URL} }\n").join(), /the variable URL is not set/);
});

test("a collector is named by its base URL, with headers of its own", () => {
  const text = 'telemetry: { otlp: "http://otel:4318/", headers: { authorization: "Bearer ${T}" }, sample: 0.25, attributes: { a.b: c } }';
  assert.deepEqual(config(text, { environment: { T: "t" } }).telemetry, {
    otlp: "http://otel:4318",
    headers: { authorization: "Bearer t" },
    serviceName: "purser",
    sample: 0.25,
    attributes: { "a.b": "c" },
  });
  assert.match(problems("telemetry: { service_name: a }").join("\n"), /otlp/);
  for (const [url, problem] of [
    ["http://otel:4317", /gRPC.*4318/],
    ["http://otel:4318/v1/traces", /appends itself/],
    ["http://user:pw@otel:4318", /Write them under headers/],
    ["otel:4318", /is not the URL of a collector/],
  ] as const)
    assert.match(problems(`telemetry: { otlp: "${url}" }`).join("\n"), problem);
  assert.match(problems("telemetry: { otlp: 'http://a', headers: { content-length: 3 } }").join("\n"), /belongs to the connection/);
});

test("flags win over the environment, the environment over the file, the file over the defaults", () => {
  const text = "server: { host: 10.0.0.1, port: 1 }\ndata: a\n";
  const environment = { PURSER_HOST: "10.0.0.2", PURSER_PORT: "2", PURSER_DATA: "b" };
  const flags = { host: "10.0.0.3", port: "3", data: "c" };
  const settings = (input: Partial<ConfigInput>) => {
    const { server, dataDir } = config(text, { cwd: "/srv", file: "etc/purser.yaml", ...input });
    return [server.host, server.port, dataDir];
  };
  assert.deepEqual(settings({ environment, flags }), ["10.0.0.3", 3, resolve("/srv/c")]);
  assert.deepEqual(settings({ environment }), ["10.0.0.2", 2, resolve("/srv/b")]);
  assert.deepEqual(settings({}), ["10.0.0.1", 1, resolve("/srv/etc/a")]);
  assert.deepEqual(problems("", { environment: { PURSER_PORT: "70000" }, flags: { host: "a b" } }), [
    '--host: "a b" is not an address to listen on. Write one like 127.0.0.1, 0.0.0.0 or ::1.',
    'PURSER_PORT: "70000" is not a port. Write a whole number from 0 to 65,535.',
  ]);
});

test("without a file every preset is there, with the key that the environment has", (t) => {
  const cwd = mkdtempSync(join(tmpdir(), "purser-config-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  const { file, providers, budgets } = readConfig({ environment: { GOOGLE_API_KEY: "g" }, cwd });
  assert.equal(file, undefined);
  assert.deepEqual(budgets, []);
  assert.deepEqual(
    providers.map(({ name }) => name),
    [...PRESETS.keys()].filter((name) => name !== "vllm" && name !== "azure"),
  );
  assert.deepEqual(
    providers.filter(({ apiKey }) => apiKey !== undefined).map(({ name, apiKey }) => [name, apiKey]),
    [["google", "g"]],
  );
});

test("purser.yaml in the working folder is read without being named, and a named file must be there", (t) => {
  const cwd = mkdtempSync(join(tmpdir(), "purser-config-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, "purser.yaml"), "default_max_output: 7\n");
  const found = readConfig({ environment: {}, cwd });
  assert.deepEqual([found.file, found.defaultMaxOutput], ["purser.yaml", 7]);
  assert.throws(() => readConfig({ file: "other.yaml", environment: {}, cwd }), {
    code: "config_missing",
    message: /^other\.yaml cannot be read \(ENOENT\)/,
  });
});

test("a provider of one's own says where it is and what it speaks", () => {
  const text = `providers:
  mine:
    dialect: openai
    base_url: https://example.openai.azure.com/openai/v1/
    api_key: k
    auth_header: api-key
    models: gpt-4o
    headers: { x-team: a }
    timeout: 90 s
  both: { base_url: { openai: "http://a.test/v1", anthropic: "http://a.test" } }
`;
  assert.deepEqual(config(text).providers, [
    {
      name: "mine",
      baseUrls: at("https://example.openai.azure.com/openai/v1", FAMILIES.openai),
      authHeader: "api-key",
      apiKey: "k",
      models: ["gpt-4o"],
      deployments: {},
      headers: { "x-team": "a" },
      timeoutMs: 90_000,
    },
    {
      name: "both",
      baseUrls: { ...at("http://a.test/v1", FAMILIES.openai), "anthropic-messages": "http://a.test" },
      authHeader: undefined,
      apiKey: undefined,
      models: [],
      deployments: {},
      headers: {},
      timeoutMs: 600_000,
    },
  ]);
  const wrong = problems(`providers:
  opneai: { api_key: k }
  vllm: { api_key: k }
  mine: { base_url: http://a.test/v1 }
  claude: { dialect: anthropic, base_url: http://a.test/v1 }
  vertex: { base_url: https://aiplatform.googleapis.com }
  chat: { dialect: openai, base_url: http://a.test/v1/chat/completions }
  anthropic: { dialect: openai }
  Bad/Name: { dialect: openai, base_url: http://a.test/v1 }
  keyed: { dialect: openai, base_url: http://a.test/v1, headers: { Authorization: x } }
`);
  const expected = [
    /^purser\.yaml:2:11 {2}providers\.opneai: base_url is missing\. It is not a preset: say where it is\. Or did you mean the preset "openai"\?/,
    /providers\.vllm: base_url is missing/,
    /providers\.mine\.dialect: is missing/,
    /providers\.claude\.base_url: ends with \/v1/,
    /providers\.vertex\.base_url: says neither version nor project/,
    /providers\.chat\.base_url: ends with \/chat\/completions/,
    /providers\.anthropic\.dialect: anthropic does not speak openai that/,
    /"Bad\/Name" cannot name a provider/,
    /providers\.keyed\.headers\.Authorization: "Authorization" carries the key/,
  ];
  for (const pattern of expected)
    assert.ok(
      wrong.some((problem) => pattern.test(problem)),
      `${pattern}\n${wrong.join("\n")}`,
    );
  assert.equal(wrong.length, expected.length, wrong.join("\n"));
});

test("what is peculiar to a provider is known by its preset, and by where it is under another name", () => {
  const { providers } = config(`providers:
  mistral: { api_key: k }
  house: { dialect: openai, base_url: "https://api.mistral.ai/v1", api_key: k }
  other: { dialect: openai, base_url: "https://models.example.com/v1", api_key: k }
`);
  assert.deepEqual(
    providers.map(({ refusesToBeAskedForUsage = false }) => refusesToBeAskedForUsage),
    [true, true, false],
  );
});

test("Azure's deployments are what it serves, by its own names and by the models'", () => {
  const text = `providers:
  azure: { base_url: "https://a.openai.azure.com/openai/v1", api_key: k, deployments: { our-chat: gpt-4o, small: gpt-4o-mini, other: gpt-4o } }
`;
  const [azure] = config(text).providers;
  assert.deepEqual(azure?.baseUrls, at("https://a.openai.azure.com/openai/v1", FAMILIES.openai));
  assert.equal(azure?.authHeader, "api-key");
  assert.deepEqual(azure?.deployments, { "our-chat": "gpt-4o", small: "gpt-4o-mini", other: "gpt-4o" });
  assert.deepEqual(azure?.models, ["our-chat", "small", "other", "gpt-4o", "gpt-4o-mini"]);
});

test("a preset takes its key from its own variable, and one URL replaces all of its own", () => {
  const text = "providers:\n  openai:\n  deepseek: { base_url: http://proxy.test }\n";
  const reading = examineConfig({ ...EMPTY, text, environment: { OPENAI_API_KEY: " sk-1 " } });
  assert.equal(reading.config?.providers[0]?.apiKey, "sk-1");
  assert.deepEqual(reading.config?.providers[1]?.baseUrls, at("http://proxy.test", ["openai-chat", "openai-completions"]));
  assert.match(
    reading.warnings.map(problemText)[0] ?? "",
    /deepseek\.base_url: is used for openai only, so this provider no longer speaks anthropic\./,
  );
});

test("the time zone of the file holds for budgets without one", () => {
  const { budgets } = config(
    "timezone: Asia/Tokyo\nbudgets: [{ name: a, limits: [5 / day] }, { name: b, limits: [5 / day], timezone: UTC }]\n",
  );
  assert.deepEqual(
    budgets.map(({ timezone }) => timezone),
    ["Asia/Tokyo", "UTC"],
  );
});

test("a budget selects by any of several values, and by tags", () => {
  const [budget] = config("budgets: [{ name: a, for: { team: [x, y], tag.env: prod* }, limits: [5 / day] }]\n").budgets;
  assert.equal(budget?.selects({ team: "y", tags: { env: "prod-eu" } }), true);
  assert.equal(budget?.selects({ team: "z", tags: { env: "prod-eu" } }), false);
});

test("what is allowed and hardly meant is warned of", () => {
  assert.match(warnings("budgets: [{ name: a }]\n")[0] ?? "", /budgets\[0\]: budget "a" limits nothing/);
  assert.match(warnings("budgets: [{ name: a, limits: [$50] }]\n")[0] ?? "", /\$50\.00 has no window, so it never resets/);
  const [tokens = ""] = warnings("budgets: [{ name: a, limits: [5 / month] }]\n");
  assert.match(tokens, /5 tokens \/ month is less than one call uses\. Write \$5\.00 \/ month if dollars are meant/);
  assert.deepEqual(warnings("budgets: [{ name: a, per: task, limits: [$50] }, { name: b, limits: [2 concurrent] }]\n"), []);
  assert.match(
    warnings("providers: { openai: }\nbudgets: [{ name: a, for: { provider: opnai }, limits: [$5 / day] }]\n")[0] ?? "",
    /budgets\[0\]\.for\.provider: no provider "opnai" is configured, so no call goes there\. Did you mean "openai"\?/,
  );
});

test("prices are read exactly and refused where they stand", () => {
  const { prices, defaultPrice } = config(`prices:
  - { model: [a, "b-*"], provider: mine, input: 0.05, output: "$0.40", cache_read: 0.01, from: 2026-01-31, max_output: 8k,
      tiers: [{ above: 256k, input: 0.25, output: 2 }], batch: 0.5, tools: { web_search: 0.01 }, of_input: { cache_write: 1.25 } }
  - { model: c, free: true }
default_price: { input: 10, output: 30 }
`);
  assert.deepEqual(prices, [
    {
      model: ["a", "b-*"],
      provider: ["mine"],
      input: "0.05",
      output: "$0.40",
      cache_read: "0.01",
      from: "2026-01-31",
      max_output: 8000,
      tiers: [{ above: 256_000, input: "0.25", output: "2" }],
      batch: 0.5,
      tools: { web_search: "0.01" },
      of_input: { cache_write: 1.25 },
    },
    { model: ["c"], free: true },
  ]);
  assert.deepEqual(defaultPrice, { model: "*", input: "10", output: "30" });
  assert.match(
    problems("prices:\n  - { model: nobodys-model, input: 1 }\n")[0] ?? "",
    /^purser\.yaml:2:5 {2}prices\[0\]: .*needs both input and output/,
  );
  assert.match(
    problems("prices: [{ model: a, input: 1, output: 2, from: 2026-02-30 }]\n")[0] ?? "",
    /prices\[0\]\.from: "2026-02-30" is not a day/,
  );
  assert.match(problems("default_price: { input: 1 }\n")[0] ?? "", /default_price: .*needs both input and output/);
  assert.match(problems("default_price: { input: 1, output: 1, model: x }\n")[0] ?? "", /default_price\.model: unknown field/);
});

test("a channel has what its kind needs, and a ladder tells nobody whom it cannot reach", () => {
  const whsec = `whsec_${"a".repeat(32)}`;
  const { channels } = config(`channels:
  hook: { kind: webhook, url: http://a.test/x, secret: ${whsec} }
  duty: { kind: pagerduty, routing_key: k }
  mail: { kind: email, server: smtps://me:secret@mail.test, from: Purser <p@a.test> }
budgets: [{ name: a, owner: Kim <kim@a.test>, limits: [$5 / day], ladder: { 50%: tell, 80%: [tell hook, tell mail] } }]
`);
  assert.deepEqual(channels, [
    { name: "hook", kind: "webhook", url: "http://a.test/x", secret: whsec },
    { name: "duty", kind: "pagerduty", url: "https://events.pagerduty.com/v2/enqueue", routingKey: "k" },
    { name: "mail", kind: "email", server: "smtps://me:secret@mail.test", from: "Purser <p@a.test>", to: undefined },
  ]);
  const wrong = problems(`channels:
  Hook: { kind: webhook, url: http://a.test }
  a: { kind: slack }
  b: { kind: slack, url: http://a.test, from: x }
  c: { kind: webhook, url: http://a.test, secret: hunter2 }
  d: { kind: email, server: mail.test, from: p@a.test }
  e: { kind: email, server: smtp://mail.test, from: nobody }
  f: { kind: carrier-pigeon }
  mail: { kind: email, server: smtp://mail.test, from: p@a.test }
budgets:
  - { name: a, limits: [$5 / day], ladder: { 50%: tell mial } }
  - { name: b, owner: Kim, limits: [$5 / day], ladder: { 50%: tell mail } }
`);
  const expected = [
    /channels\.Hook: "Hook" cannot name a channel/,
    /channels\.a: url is missing/,
    /channels\.b\.from: belongs to another kind of channel/,
    /channels\.c\.secret: is not one of Standard Webhooks/,
    /channels\.d\.server: is not a mail server/,
    /channels\.e: "nobody" is not an e-mail address/,
    /channels\.f\.kind: "carrier-pigeon" is not one of/,
    /budgets\[0\]\.ladder: no channel "mial" is configured\. Did you mean "mail"\?/,
    /budgets\[1\]\.ladder: tells mail, which writes to the owner of the budget, and the budget has no owner with an address/,
  ];
  for (const [i, pattern] of expected.entries()) assert.match(wrong[i] ?? "", pattern);
  assert.equal(wrong.length, expected.length);
  assert.doesNotMatch(wrong.join("\n"), /hunter2/);
  assert.match(warnings("channels: { a: { kind: slack, url: ${NONE} } }\n")[0] ?? "", /NONE is not set, so this channel tells nobody\./);
});

test("a channel has hours, and another one that is told where nobody acknowledges", () => {
  const { channels } = config(`channels:
  chat: { kind: slack, url: http://a.test/x, quiet: 22:00-07:00, digest: 9:30, escalate: duty after 15m }
  duty: { kind: pagerduty, routing_key: k }
`);
  const [chat] = channels;
  assert.deepEqual([chat?.quiet, chat?.digest, chat?.escalate], [{ from: 1320, to: 420 }, 570, { to: "duty", afterMs: 900_000 }]);
  const slack = (more: string) =>
    problems(
      `channels: { a: { kind: slack, url: http://a.test, ${more} }, b: { kind: slack, url: http://a.test, escalate: a after 1h } }\n`,
    );
  assert.match(slack("quiet: at night")[0] ?? "", /quiet: "at night" is no time of the night\. Write it like 22:00-07:00/);
  assert.match(slack("digest: 24:00")[0] ?? "", /digest: "24:00" is no time of the day/);
  assert.match(slack("escalate: kim")[0] ?? "", /escalate: "kim" does not say whom, and after what time/);
  assert.match(slack("escalate: c after 5m")[0] ?? "", /no channel "c" is configured/);
  assert.match(slack("escalate: a after 5m")[0] ?? "", /tells the same channel again/);
  assert.equal(slack("escalate: b after 5m").filter((one) => /goes round in a circle/.test(one)).length, 2);
  assert.match(
    problems("channels: { a: { kind: pagerduty, routing_key: k, digest: 9:00 } }\n")[0] ?? "",
    /digest: belongs to another kind of channel/,
  );
});

test("alerts say when somebody is told, and tell of what is counted only", () => {
  const hook = "channels: { hook: { kind: webhook, url: http://a.test } }\n";
  const { watched, failing, captured } = config(`${hook}alerts: { failing 12.5%: tell, captured 97%: tell hook }
budgets:
  - { name: a, limits: [$5 / day], alerts: { forecast: tell, anomaly: tell hook, anomaly 5x: tell, hourly $0.50: [tell hook], reset: tell hook } }
  - { name: b, limits: [$5 / day] }
`);
  assert.deepEqual(failing, [{ share: 1_250, channels: undefined }]);
  assert.deepEqual(captured, [{ share: 9_700, channels: ["hook"] }]);
  assert.equal(watched.length, 1);
  assert.deepEqual(watched[0]?.watches, [
    { kind: "forecast", channels: undefined },
    { kind: "anomaly", times: 3, channels: ["hook"] },
    { kind: "anomaly", times: 5, channels: undefined },
    { kind: "hourly", amount: 500_000_000, unit: "nanodollars", channels: ["hook"] },
    { kind: "reset", channels: ["hook"] },
  ]);
  const budget = (alerts: string) =>
    problems(`${hook}budgets: [{ name: a, limits: [$5 / day, 2 concurrent], alerts: { ${alerts} } }]\n`)[0] ?? "";
  assert.match(budget("forcast: tell"), /alerts\.forcast: "forcast" is nothing that alerts are about\. .* Did you mean "forecast"\?/);
  assert.match(budget("anomaly twice: tell"), /does not say how many times what is usual\. Write anomaly 3x/);
  assert.match(budget("hourly 1M tokens: tell"), /is in a unit that the budget has no limit in.*Give the budget a limit in tokens/);
  assert.match(budget("hourly 2 concurrent: tell"), /concurrent/);
  assert.match(budget("failing 20%: tell"), /is about providers\. Write it under alerts at the top of the file/);
  assert.match(budget("reset: block"), /"block" is nothing that an alert does/);
  assert.match(budget("reset: tell hok"), /no channel "hok" is configured\. Did you mean "hook"\?/);
  assert.match(problems(`${hook}alerts: { reset: tell }\n`)[0] ?? "", /is about a budget\. Write it under alerts of the budget/);
  assert.match(problems(`${hook}alerts: { failing 120%: tell }\n`)[0] ?? "", /does not say how much of the calls\. Write failing 20%/);
  assert.match(
    problems(`${hook}alerts: { captured all: tell }\n`)[0] ?? "",
    /does not say how much of what was billed\. Write captured 97%/,
  );
  assert.match(budget("captured 97%: tell"), /is about providers\. Write it under alerts at the top of the file/);
});

test("a guard says what it is against, and does what is of use against it", () => {
  const { guards } = config("budgets: [{ name: a, limits: [$5 / day], guard: { repeats: 10, do: slow 5s } }]\n");
  assert.deepEqual(guards[0]?.guard, {
    repeats: 10,
    sameTool: undefined,
    growth: undefined,
    surge: undefined,
    rungs: [{ kind: "slow", waitMs: 5000 }],
    lastsMs: 300_000,
  });
  assert.equal(config("budgets: [{ name: a, limits: [$5 / day], guard: { same_tool: 3 } }]\n").guards[0]?.guard.sameTool, 3);
  assert.match(
    problems("budgets: [{ name: a, guard: { lasts: 1 m } }]\n")[0] ?? "",
    /guard: guards against nothing\. Write repeats, same_tool, growth or surge/,
  );
  const ofSameTool = (value: string) => problems(`budgets: [{ name: a, guard: { same_tool: ${value} } }]\n`).join();
  for (const wrong of ["1", "101", "often"]) assert.match(ofSameTool(wrong), /guard\.same_tool/, wrong);
  assert.match(problems("budgets: [{ name: a, guard: { same_tols: 3 } }]\n")[0] ?? "", /same_tool/);
  assert.match(
    problems("budgets: [{ name: a, guard: { repeats: 5, do: use m } }]\n")[0] ?? "",
    /guard\.do: "use m" is nothing that a guard does/,
  );
  assert.match(problems("budgets: [{ name: a, guard: { repeats: 5, do: tell x } }]\n")[0] ?? "", /guard: no channel "x" is configured/);
});

test("an allowance is for the models of one provider and is no money", () => {
  const { allowances } = config("allowances: [{ name: free, provider: openai, models: [gpt-4o-mini*], limit: 1M tokens / day }]\n");
  assert.equal(allowances[0]?.limit.amount, 1_000_000);
  assert.equal(allowances[0]?.applies("openai", "gpt-4o-mini-2024-07-18"), true);
  assert.equal(allowances[0]?.applies("openai", "gpt-4o"), false);
  assert.equal(allowances[0]?.applies("qwen", "gpt-4o-mini"), false);
  assert.match(problems("allowances: [{ name: a, provider: openai, limit: $5 / day }]\n")[0] ?? "", /cannot be given away/);
  assert.match(problems("allowances: [{ name: a, provider: nobody, limit: 5 / day }]\n")[0] ?? "", /no provider "nobody" is configured/);
});

test("an allowance can be shared by several providers, and ends with a day of its zone", () => {
  const now = Date.UTC(2026, 10, 1);
  const text = "allowances: [{ name: free, provider: [openai, g*], limit: 1M tokens / day, until: 2026-11-30, timezone: Europe/Berlin }]\n";
  const [free] = config(text, { now }).allowances;
  assert.deepEqual(
    ["openai", "groq", "google", "anthropic"].map((provider) => free?.applies(provider, "m")),
    [true, true, true, false],
  );
  assert.equal(free?.until, Date.UTC(2026, 10, 30, 23));
  assert.match(warnings(text, { now: Date.UTC(2026, 11, 1) })[0] ?? "", /until: the allowance ended with 2026-11-30/);
  assert.match(problems("allowances: [{ name: a, provider: openai, limit: 5 / day, until: soon }]\n")[0] ?? "", /"soon" is not a day/);
});

const ofCommitment = (fields: string) => problems(`commitments: [{ name: c, provider: openai, ${fields} }]\n`).join("\n");

for (const [fields, message] of [
  ["commit: 5 a month", /commitments\[0\]\.commit/],
  ["commit: $10k / week", /commit: "\$10k \/ week" is nothing to commit to.*month, quarter, year/],
  ["commit: $0 / month", /nothing to commit to/],
  ["commit: $5 / month rollover $5", /nothing to commit to/],
  ["commit: 4 concurrent", /nothing to commit to/],
  ["commit: $5 / rolling 30d", /nothing to commit to/],
  ["commit: $5 / minute", /money by the minute/],
  ["commit: $5 / month, discount: 0%", /discount: "0%" is no discount/],
  ["commit: $5 / month, discount: 100%", /discount: "100%" is no discount/],
  ["commit: $5 / month, price: $2 / hour", /price: stands beside money/],
  ["commit: 5k tokens / minute", /price is missing/],
  ["commit: 5k tokens / minute, price: $2", /price: "\$2" is no price of capacity/],
  ["commit: 5k tokens / minute, price: 2 / hour", /price: "2 \/ hour" is no price of capacity/],
  ["commit: 5k tokens / minute, price: $2 / hour, discount: 5%", /discount: stands beside capacity/],
  ["commit: 5k requests / minute, price: $2 / hour, weights: { output: 4 }", /weights: weigh tokens/],
  ["commit: 5k tokens / minute, price: $2 / hour, weights: { image_input: 4 }", /image_input: is not added up by the hour/],
  ["commit: 5k tokens / minute, price: $2 / hour, weights: { outptu: 4 }", /unknown field\. Did you mean "output"/],
  ["commit: $5 / month, from: 2026-12-01, until: 2026-11-01", /until: 2026-11-01 is before 2026-12-01/],
  ["commit: $5 / month, unti: 2026-12-01", /unti: unknown field\. Did you mean "until"/],
  ["commit: $5M / hour", /commit: comes to more in its window/],
  ["commit: $5M / month, units: 9", /commit: comes to more in its window/],
  ["commit: $5 / month, units: 0", /units/],
] as const)
  test(`a commitment with "${fields}" is refused where it stands`, () => assert.match(ofCommitment(fields), message));

test("a commitment names providers that are there, and a name of its own; one that ends within a month is asked about", () => {
  assert.match(problems("commitments: [{ name: c, provider: opnai, commit: $5 / month }]\n")[0] ?? "", /no provider "opnai".*"openai"/);
  const one = "{ name: c, provider: openai, commit: $5 / month }";
  assert.match(problems(`commitments: [${one}, ${one}]\n`)[0] ?? "", /\[1\]\.name: "c" names two commitments/);
  const now = Date.UTC(2026, 10, 10);
  const until = (day: string, more = "") =>
    warnings(`commitments: [{ name: c, provider: openai, commit: $5 / month, until: ${day}${more} }]\n`, { now });
  assert.match(until("2026-12-15")[0] ?? "", /until: 2026-12-15 is not the last day of a month/);
  assert.match(until("2026-11-01")[0] ?? "", /the commitment ended with 2026-11-01/);
  assert.deepEqual([...until("2026-12-31"), ...until("2026-12-14", ", from: 2026-01-15")], []);
});

test("what is told of commitments and allowances stands at the top, with a share or a time", () => {
  const hook = "channels: { hook: { kind: webhook, url: http://127.0.0.1:1/ } }\n";
  const { unused, allowanceUsed, ending } = config(`${hook}alerts: { unused 12.5%: tell hook, allowance 80%: tell, ending 14d: tell }\n`);
  assert.deepEqual(unused, [{ share: 1250, channels: ["hook"] }]);
  assert.deepEqual(allowanceUsed, [{ share: 8000, channels: undefined }]);
  assert.deepEqual(ending, [{ beforeMs: 14 * 86_400_000, channels: undefined }]);
  const alert = (text: string) => problems(`${hook}alerts: { ${text}: tell }\n`)[0] ?? "";
  assert.match(alert("unused"), /"unused " does not say how much of a commitment\. Write unused 10%/);
  assert.match(alert("allowance 0%"), /how much of what is given away\. Write allowance 80%/);
  for (const wrong of ["ending", "ending soon", "ending 5m", "ending 9999d"])
    assert.match(alert(wrong), /how long before\. Write ending 14d/);
  assert.match(alert("unsed 10%"), /Did you mean "unused"/);
  const ofBudget = problems(`${hook}budgets: [{ name: a, limits: [$5 / day], alerts: { ending 14d: tell } }]\n`)[0] ?? "";
  assert.match(ofBudget, /is about providers\. Write it under alerts at the top/);
});

test("sizes, durations and numbers are read in the ways people write them, and in range only", () => {
  const { server, defaultMaxOutput } = config("server: { max_body: 1.5 MB, drain: 2m, port: 0 }\ndefault_max_output: 4k\n");
  assert.deepEqual([server.maxBodyBytes, server.drainMs, server.port, defaultMaxOutput], [1_500_000, 120_000, 0, 4000]);
  for (const text of [
    "server: { drain: 30 }",
    "server: { drain: 2 h }",
    "server: { max_body: 2 GiB }",
    "default_max_output: 0",
    "default_max_output: 1.0005k",
    "server: { port: -1 }",
  ]) {
    assert.equal(problems(text).length, 1, text);
  }
});

test("no text makes the reader fail: all that is wrong is told with a place in the file", () => {
  const signs = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "  ",
    "- ",
    "*",
    "&a",
    "*a",
    "!!set",
    "${",
    "}",
    "'",
    '"',
    "|",
    "? ",
    "<<: ",
    "~",
    "\t",
    "---\n",
    "\0",
  );
  const edit = fc.record({
    at: fc.nat({ max: WHOLE.length }),
    removed: fc.nat({ max: 3 }),
    added: fc.oneof(signs, fc.string({ maxLength: 3 })),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const text = edits.reduce((whole, { at, removed, added }) => whole.slice(0, at) + added + whole.slice(at + removed), WHOLE);
      const { problems: found, warnings: doubts } = examineConfig({ ...EMPTY, text });
      for (const { line, column, message } of [...found, ...doubts]) assert.ok(message !== "" && (line ?? 0) >= 1 && (column ?? 0) >= 1);
    }),
    { numRuns: 300 },
  );
});

test("starts, exceptions and windows that move are read as they are written", () => {
  const { budgets } = config(`
budgets:
  - name: users
    per: user
    limits: [$50 / month rollover $20, 1M / rolling 24h, 10 requests / minute leaky burst 3]
    starts: 15
    timezone: Asia/Kolkata
    exceptions:
      - { for: { user: [ann, b*] }, limits: [$80 / month], until: 2026-12-31 }
  - name: weeks
    limits: [$50 / week, $500 / year]
    starts: [sunday, 2026-03-15]
`);
  assert.deepEqual(
    budgets.map(({ limits }) => limits.map(formatLimit)),
    [
      ["$50.00 / month rollover $20.00", "1,000,000 tokens / rolling 1d", "10 requests / minute leaky burst 3 requests"],
      ["$50.00 / week", "$500.00 / year"],
    ],
  );
  const [exception] = budgets[0]?.exceptions ?? [];
  assert.deepEqual(
    [exception?.until, [...(exception?.limits.values() ?? [])].map(formatLimit)],
    [Date.UTC(2026, 11, 31, 18, 30), ["$80.00 / month rollover $20.00"]],
  );
  assert.deepEqual(
    budgets.flatMap(({ limits }) => limits.map(({ window }) => windowText(window))),
    ["month@Asia/Kolkata from 15", "rolling 1d", "minute leaky", "week@UTC from sunday", "year@UTC from 15 march"],
  );
});

const WRONG_WINDOWS = [
  ["limits: [1M / rollin 24h]", /1:\d+ {2}budgets\[0\]\.limits\[0\]: .*"rollin 24h" is not a window.* Did you mean "rolling"\?/],
  ["limits: [1M / minute bukket burst 2M]", /Did you mean "bucket"\?/],
  ["limits: [10 request / minute leaky wiat 3s]", /"wiat" cannot stand there.* Did you mean "wait"\?/],
  ["limits: [$50 / month rolover $20]", /Did you mean "rollover"\?/],
  [
    "limits: [$50 / day], starts: sundey",
    /budgets\[0\]\.starts: .*"sundey" is not a day on which windows can start.* Did you mean "sunday"\?/,
  ],
  ["limits: [$50 / day], starts: sunday", /budgets\[0\]\.starts: .*no limit starts on "sunday"/],
  [
    "limits: [$50 / day], per: user, exceptions: [{ for: { user: a }, limits: [$9 / day] }, { for: { team: a }, limits: [$9 / day] }]",
    /budgets\[0\]\.exceptions\[1\]: .*"team", which per does not name. Name user/,
  ],
  ["limits: [$50 / day], per: user, exceptions: [{ for: { usr: a }, limits: [$9 / day] }]", /Did you mean "user"\?/],
  [
    "limits: [$50 / day], per: user, exceptions: [{ for: { user: a }, limits: [$9 / week] }]",
    /exceptions\[0\]: .*stands in the place of no limit.*\$50\.00 \/ day/,
  ],
  [
    "limits: [$50 / day], per: user, exceptions: [{ for: { user: a }, limits: [$9 / day], untill: 2026-12-31 }]",
    /untill: unknown field. Did you mean "until"\?/,
  ],
  [
    "limits: [$50 / day], per: user, exceptions: [{ for: { user: a }, limits: [$9 / day], until: 2026-02-30 }]",
    /"2026-02-30" is not a day/,
  ],
] as const;

for (const [fields, message] of WRONG_WINDOWS) {
  test(`{ ${fields} } is refused where it is wrong, with what was meant`, () => {
    const [problem = "", ...others] = problems(`budgets: [{ name: a, ${fields} }]`);
    assert.match(problem, message);
    assert.deepEqual(others, []);
  });
}

const WRONG_WEIGHTS = [
  [
    "limits: [1M / day], weights: { cached_input: 0.1 }",
    /1:\d+ {2}budgets\[0\]\.weights\.cached_input: is called cache_read, here as under prices\./,
  ],
  ["limits: [1M / day], weights: { outptu: 4 }", /weights\.outptu: unknown field\. Did you mean "output"\?/],
  [
    "limits: [1M / day], weights: { output: -4 }",
    /weights\.output: "-4" is not a weight\. Write a number from 0 to 1000 with at most three decimals/,
  ],
  ["limits: [1M / day], weights: { output: 4x }", /weights\.output: "4x" is not a weight/],
  ["limits: [1M / day], weights: { output: 0.12345 }", /weights\.output: "0\.12345" is not a weight/],
  ["limits: [1M / day], weights: { output: 1e9 }", /weights\.output: "1e9" is not a weight/],
  ["limits: [1M / day], weights: { output: 1001 }", /weights\.output: "1001" is not a weight/],
  ["limits: [1M / day], weights: 4", /weights: is not a map\. Fields here: input, cache_read/],
  ["limits: [1M / day], weights: { input: 0, output: 0 }", /budgets\[0\]\.weights: .*its limit in tokens limits nothing/],
  ["limits: [$5 / day], weights: { output: 4 }", /budgets\[0\]\.weights: .*no limit of the budget counts output tokens/],
] as const;

for (const [fields, message] of WRONG_WEIGHTS) {
  test(`{ ${fields} } is refused where it is wrong, with what was meant`, () => {
    const [problem = "", ...others] = problems(`budgets: [{ name: a, ${fields} }]`);
    assert.match(problem, message);
    assert.deepEqual(others, []);
  });
}

test("weights are read as they are written, and as a variable says", () => {
  const [budget] = config("budgets: [{ name: a, limits: [1M / day], weights: { cache_read: .1, output: ${OUTPUT} } }]", {
    environment: { OUTPUT: "4.125" },
  }).budgets;
  assert.deepEqual(budget?.weights, { cache_read: 0.1, output: 4.125 });
  assert.equal(budget?.limits[0]?.weights?.text, "cache_read 0.1, output 4.125");
});

test("people have a hash for a password, and a provider of identities is one that nobody can stand in for", () => {
  const hash = `scrypt$ln=15,r=8,p=3$${"A".repeat(22)}$${"A".repeat(43)}`;
  const { login } = config(`login: { people: { ann: { role: member, password: "${hash}", attributes: { user: ann@b.c } } } }`);
  assert.deepEqual(login, { people: [{ name: "ann", role: "member", password: hash, attributes: { user: "ann@b.c" } }], oidc: undefined });
  const oidc = (fields: string, server = "") => problems(`${server}\nlogin: { oidc: { client_id: c, ${fields} } }`).join("\n");
  assert.equal(oidc("issuer: https://id.example.com"), "");
  assert.match(oidc("issuer: http://id.example.com"), /not reached by https/);
  assert.equal(oidc("issuer: http://127.0.0.1:8080"), "");
  assert.match(oidc("issuer: https://id.example.com", "server: { host: 0.0.0.0 }"), /public_url/);
  assert.match(oidc("issuer: https://id.example.com, otherwise: owner"), /otherwise/);
  const secret = problems("login: { people: { ann: { role: viewer, password: seven-seas } } }").join("\n");
  assert.match(secret, /password: is not the hash of a password. Make one: purser users hash/);
  assert.ok(!secret.includes("seven-seas"));
  assert.match(problems(`login: { people: { "a*": { role: member, password: "${hash}" } } }`).join("\n"), /cannot name a person/);
  const pattern = `login: { people: { ann: { role: member, password: "${hash}", attributes: { user: "*" } } } }`;
  assert.match(problems(pattern).join("\n"), /would select more than one/);
  assert.match(problems(pattern.replace("user", "provider")).join("\n"), /no attribute of a person/);
});

test("a field that stands at the top is told so where it is looked for in a budget", () => {
  const { properties } = CONFIGURATION.schema as { properties: Record<string, { items?: { properties: object } }> };
  const ofBudgets = properties.budgets?.items?.properties ?? {};
  for (const name of Object.keys(properties).filter((one) => !(one in ofBudgets)))
    assert.deepEqual(problems(`budgets: [{ name: a, limits: [$1 / day], ${name}: x }]`), [
      `purser.yaml:1:42  budgets[0].${name}: stands at the top of the file, beside budgets, and not in one of them.`,
    ]);
});

test("an exception that is over is told, from the day after its last", () => {
  const text = `budgets:
  - { name: a, per: user, limits: [$1 / day], exceptions: [{ for: { user: ann }, limits: [$5 / day], until: 2026-06-30 }] }`;
  assert.deepEqual(warnings(text, { now: Date.UTC(2026, 5, 30, 23) }), []);
  assert.match(
    warnings(text, { now: Date.UTC(2026, 6, 1) })[0] ?? "",
    /exceptions\[0\]\.until: the exception ended with 2026-06-30, and the usual limits hold\. Take it out\./,
  );
});

test("two models at one share are refused, and two who are told are not", () => {
  const ladder = (rungs: string) => problems(`budgets: [{ name: a, limits: [$1 / day], ladder: { 80%: [${rungs}] } }]`)[0] ?? "";
  assert.match(ladder("use a, use b"), /budgets\[0\]\.ladder: .*"use" stands twice at 80%, where one of them can hold\. Keep one/);
  assert.equal(ladder("use a, shorten 100"), "");
});

test("what an alert cannot do is told without a word about ladders' rungs", () => {
  const [problem = ""] = problems("budgets: [{ name: a, limits: [$1 / day], alerts: { forecast: shout } }]");
  assert.match(problem, /"shout" is nothing that an alert does\. Write tell, or tell CHANNEL;/);
  assert.doesNotMatch(problem, /The ladder cannot be read/);
});
