/**
 * `node scripts/seed.mjs --data DIR [--calls 20000] [--webhook URL] [--openai URL]`: writes a year of a company into a data folder, with its purser.yaml and
 * keys, so that the dashboard has something to show. The year ends now; everything else is the same for the same number of calls. It runs the
 * product's own budgets over its own store, in virtual time.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { prepare, ROOT } from "./prepare.mjs";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const YEAR_DAYS = 365;
/** So many calls of the same hour are in flight together: a commit of the store is shared by all of them. */
const TOGETHER = 400;

const MODELS = [
  { provider: "openai", model: "gpt-4o", weight: 5 },
  { provider: "openai", model: "gpt-4o-mini", weight: 9 },
  { provider: "openai", model: "o3", weight: 2 },
  { provider: "anthropic", model: "claude-sonnet-4-6", weight: 8 },
  { provider: "anthropic", model: "claude-haiku-4-5", weight: 5 },
  { provider: "google", model: "gemini-2.5-flash", weight: 4 },
];
const TEAMS = [
  { team: "search", weight: 6, features: ["ranking", "answers", "spelling"], people: ["ada", "grace", "linus", "barbara"] },
  { team: "support", weight: 9, features: ["chatbot", "summaries", "triage"], people: ["ann", "bert", "carla", "dora", "emil"] },
  { team: "growth", weight: 3, features: ["campaigns", "personas"], people: ["finn", "gina", "hugo"] },
  { team: "data", weight: 4, features: ["extraction", "labels", "reports"], people: ["ines", "jan", "kira"] },
  { team: "platform", weight: 7, features: ["coding-agent", "review-bot"], people: ["lena", "mats", "nora", "otto", "paul", "quinn"] },
];

/** Writes the year, and returns where its configuration is and how much there is. */
export async function seed({ directory, calls: count, webhook, openai }) {
  const { Budgets, costOf } = await import("@purser/core");
  const { openSqliteStore } = await import("@purser/core/stores/sqlite");
  const { createPriceBook } = await import("@purser/core/prices");
  const fromGateway = (file) => import(pathToFileURL(join(ROOT, "packages/gateway/dist", file)).href);
  const { openKeys } = await fromGateway("callers/keys.js");
  const { readConfig } = await fromGateway("config/read-config.js");
  const endsAt = Date.now() - 90_000;
  const prices = createPriceBook();
  mkdirSync(directory, { recursive: true });
  const dataDir = join(directory, "data");
  const keyIds = await makeKeys(await openKeys(dataDir));
  const calls = yearOfCalls({ count, endsAt, keyIds });
  const costs = calls.map((call) => costOf(prices.card(call.subject.provider, call.subject.model, call.at), call.usage));
  const text = yamlOf(budgetsFor(calls, costs, endsAt), dataDir, { webhook, openai });
  const config = join(directory, "purser.yaml");
  writeFileSync(config, text);

  let now = calls[0]?.at ?? endsAt;
  const store = await openSqliteStore({ directory: dataDir, now: () => now });
  const { budgets: written, allowances } = readConfig({ text, environment: {} });
  const budgets = new Budgets({ store, prices, budgets: written, allowances, now: () => now });
  await budgets.adopt();
  let settling = [];
  for (const batch of batchesOf(calls)) {
    now = batch.at(-1).at;
    const decisions = await Promise.all(
      batch.map(({ id, subject, usage }) =>
        budgets.reserve({ id, subject, input: { most: Math.ceil(usage.inputTokens * 1.1) }, output: { most: usage.outputTokens * 2 } }),
      ),
    );
    // Settled at once, and written with the next calls.
    settling = decisions.map((decision, i) => decision.outcome === "allowed" && settle(budgets, decision.reservation, batch[i]));
  }
  await Promise.all(settling);
  await budgets.close();
  const [last] = await store.entries({ newest: true, most: 1 });
  await store.close();
  return { config, calls: calls.length, entries: last?.seq ?? 0 };
}

function settle(budgets, reservation, { usage, effects }) {
  return budgets.settle(reservation, usage, "confirmed", "standard", undefined, effects);
}

/** What the ladder of the chatbot did to some of its calls. */
function effectsOf({ feature, model }, inputTokens) {
  if (feature !== "chatbot" || model !== "gpt-4o-mini" || inputTokens < 6_000) return undefined;
  const insteadOf = { provider: "openai", pricedAs: "gpt-4o" };
  const use = { kind: "use", budget: "chatbot", rung: "use gpt-4o-mini", insteadOf, cachedShare: 0 };
  const trim = { kind: "cut", budget: "chatbot", rung: "trim 16000", leftOutTokens: inputTokens - 12_000, cachedShare: 0 };
  return inputTokens > 15_000 ? [use, trim] : [use];
}

/** Calls of one hour each, and of one minute at the end, which is shown by the minute: the clock stands still while they are in flight. */
function* batchesOf(calls) {
  const lastHour = calls.at(-1).at - HOUR_MS;
  const stepOf = ({ at }) => (at < lastHour ? Math.floor(at / HOUR_MS) : Math.floor(at / MINUTE_MS));
  let batch = [];
  for (const call of calls) {
    const isNew = batch.length === TOGETHER || (batch.length > 0 && stepOf(call) !== stepOf(batch[0]));
    if (isNew) {
      yield batch;
      batch = [];
    }
    batch.push(call);
  }
  if (batch.length > 0) yield batch;
}

async function makeKeys(keys) {
  const ids = {};
  for (const { team, features } of TEAMS) {
    for (const feature of features.slice(0, 2)) {
      const { key } = await keys.create({
        name: `${team} ${feature}`,
        attributes: { team, feature },
        maySet: ["user", "session", "task", "tag.*"],
      });
      ids[feature] = key.id;
    }
  }
  keys.close();
  return ids;
}

/** Calls in the order of their time: more of them every month, few at night and at weekends, one bad night of a loop. */
function yearOfCalls({ count, endsAt, keyIds }) {
  const random = dice(7);
  const beginsAt = endsAt - YEAR_DAYS * DAY_MS;
  const times = [];
  while (times.length < count) {
    const share = Math.sqrt(random());
    const at = beginsAt + Math.floor(share * (endsAt - beginsAt));
    const date = new Date(at);
    const isWeekend = date.getUTCDay() % 6 === 0;
    const daylight = 0.15 + 0.85 * Math.max(0, Math.sin(((date.getUTCHours() - 5) / 16) * Math.PI));
    if (random() < daylight * (isWeekend ? 0.25 : 1)) times.push(at);
  }
  // The last hours are looked at most.
  for (let i = 0; i < Math.min(200, count / 200); i++) times[i] = endsAt - Math.floor(random() ** 4 * 8 * HOUR_MS);
  times.sort((a, b) => a - b);
  return times.map((at, i) => callAt(at, i, random, keyIds));
}

function callAt(at, i, random, keyIds) {
  const { team, features, people } = weighted(TEAMS, random);
  const feature = features[Math.floor(random() ** 1.6 * features.length)];
  const user = people[Math.floor(random() ** 2 * people.length)];
  const { provider, model } = weighted(MODELS, random);
  const isAgent = feature === "coding-agent";
  const inputTokens = Math.floor((isAgent ? 90_000 : 9_000) * (0.3 + random() * 2.5));
  const cached = isAgent ? Math.floor(inputTokens * 0.7 * random()) : 0;
  const outputTokens = 60 + Math.floor((isAgent ? 6_000 : 1_800) * random());
  const subject = {
    team,
    feature,
    user,
    provider,
    model,
    endpoint: provider === "anthropic" ? "anthropic-messages" : provider === "google" ? "gemini-content" : "openai-chat",
    ...(keyIds[feature] && { key: keyIds[feature] }),
    ...(isAgent && { session: `session-${user}-${Math.floor(at / (6 * HOUR_MS)).toString(36)}` }),
  };
  const usage = { inputTokens, outputTokens, ...(cached > 0 && { cacheReadInputTokens: cached }) };
  const id = `req_${at.toString(36)}${i.toString(36).padStart(6, "0")}`;
  return { id, at, subject, usage, effects: effectsOf(subject, inputTokens) };
}

/** Budgets as somebody sets them who knows last month: most have room, one is nearly gone, one is too small. */
function budgetsFor(calls, costs, endsAt) {
  const recent = (selects) => {
    let cost = 0;
    for (const [i, call] of calls.entries()) if (call.at > endsAt - 30 * DAY_MS && selects(call.subject)) cost += costs[i];
    return Math.max(1, cost / 1e9);
  };
  const dollars = (amount) => `$${amount >= 100 ? Math.ceil(amount / 50) * 50 : Math.ceil(amount)}`;
  const all = recent(() => true);
  const of = (attributes) => recent((subject) => Object.entries(attributes).every(([name, value]) => subject[name] === value));
  const ladder = { "50%": ["tell"], "80%": ["tell"], "100%": ["tell"] };
  return [
    { name: "company", limits: [`${dollars(all * 1.6)} / month`], owner: "finance@example.com", ladder },
    ...TEAMS.map(({ team }, i) => ({
      name: `team ${team}`,
      for: { team },
      limits: [`${dollars(of({ team }) * [1.5, 1.05, 2.4, 1.3, 1.7][i])} / month`],
      owner: `${team}@example.com`,
      ladder,
    })),
    {
      name: "chatbot",
      for: { team: "support", feature: "chatbot" },
      limits: [`${dollars(of({ feature: "chatbot" }) * 0.9)} / month`, "500 requests / hour"],
      owner: "ann@example.com",
      ladder: { "85%": ["use gpt-4o-mini"], "95%": ["trim 16000"] },
    },
    {
      name: "coding agent",
      for: { feature: "coding-agent" },
      limits: [`${dollars((of({ feature: "coding-agent" }) / 30) * 2)} / day`, "20M tokens / hour"],
      costCenter: "CC-310",
      adjust: { within: "$1 - $1000", every: "day" },
    },
    { name: "each user", per: "user", limits: ["3M tokens / day", "200 requests / hour"] },
    { name: "agent session", per: "session", for: { feature: "coding-agent" }, limits: ["$25"] },
    {
      name: "campaign texts",
      for: { feature: "campaign-texts" },
      limits: ["300 tokens / day"],
      minOutput: 20,
      ladder: { "100%": ["ask 60s +50%"] },
    },
    { name: "o3 trial", for: { model: "o3*" }, limits: [`${dollars(of({ model: "o3" }) * 0.5)} / month`], mode: "observe" },
  ];
}

function yamlOf(definitions, dataDir, { webhook, openai }) {
  const field = (name, value) => (value === undefined ? [] : [`    ${name}: ${JSON.stringify(value)}`]);
  const isTold = webhook !== undefined;
  return [
    `data: ${JSON.stringify(dataDir)}`,
    "providers:",
    `  openai: { api_key: none-needed${openai === undefined ? "" : `, base_url: ${JSON.stringify(openai)}`} }`,
    ...["anthropic", "google"].map((name) => `  ${name}: { api_key: none-needed }`),
    ...(isTold ? ["channels:", `  finance: { kind: webhook, url: ${JSON.stringify(webhook)} }`] : []),
    "allowances: [{ name: daily free tokens, provider: google, models: [gemini-2.5-flash*], limit: 150k tokens / day }]",
    "budgets:",
    ...definitions.flatMap(({ name, for: selector, per, limits, owner, costCenter, adjust, mode, ladder, minOutput }) => [
      `  - name: ${JSON.stringify(name)}`,
      ...field("for", selector),
      ...field("per", per),
      ...field("limits", limits),
      ...field("owner", owner),
      ...field("cost_center", costCenter),
      ...field("adjust", adjust),
      ...field("mode", mode),
      ...field("min_output", minOutput),
      ...ladderLines(ladder, isTold),
    ]),
    "",
  ].join("\n");
}

/** Without a channel nobody can be told or asked. */
function ladderLines(ladder = {}, isTold) {
  const steps = Object.entries(ladder).flatMap(([at, rungs]) => {
    const written = rungs.flatMap((rung) => (/^(tell|ask)/.test(rung) ? (isTold ? [`${rung} finance`] : []) : [rung]));
    return written.length === 0 ? [] : [`${at}: [${written.join(", ")}]`];
  });
  return steps.length === 0 ? [] : [`    ladder: { ${steps.join(", ")} }`];
}

function weighted(items, random) {
  let left = random() * items.reduce((sum, { weight }) => sum + weight, 0);
  for (const item of items) {
    left -= item.weight;
    if (left < 0) return item;
  }
  return items.at(-1);
}

/** The same numbers for the same seed. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      calls: { type: "string", default: "20000" },
      webhook: { type: "string" },
      openai: { type: "string" },
    },
  });
  if (values.data === undefined) {
    console.error("Say where to: node scripts/seed.mjs --data DIR");
    process.exit(2);
  }
  prepare();
  const { config, calls, entries } = await seed({
    directory: resolve(values.data),
    calls: Number(values.calls),
    webhook: values.webhook,
    openai: values.openai,
  });
  console.log(`${calls} calls, ${entries} entries. Look at them: npx purser serve --config ${config}`);
}
