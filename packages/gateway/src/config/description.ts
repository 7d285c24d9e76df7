import {
  ATTRIBUTES,
  BUCKET_PERIODS,
  CALENDAR_PERIODS,
  isSubjectPath,
  isWeight,
  LACKS,
  type ModeInput,
  PurserError,
  parseDollars,
  parseDollarsPerMillion,
  parseLimit,
  parseMode,
  parseWindowStart,
  type SubjectPath,
  type TokenKind,
  WEIGHT_FORM,
  WEIGHT_MOST,
  WINDOW_START_NAMES,
} from "@purser/core";
import { CHANNEL_KINDS } from "../alerts/channel.ts";
import { parseCapacityPrice, parseCommitted, parseDiscount } from "../commitments/terms.ts";
import { ATTEMPTS_MOST, FAILURES, RETRIED_ON } from "../failover/retry.ts";
import { PERSON_ROLES } from "../people/person.ts";
import { PRESETS } from "../providers/presets/index.ts";
import { DIALECTS, FAMILY_NAMES } from "../providers/provider.ts";
import {
  byteSize,
  choice,
  count,
  described,
  dollars,
  duration,
  type Field,
  flag,
  list,
  located,
  map,
  mark,
  object,
  parsed,
  secret,
  share,
  text,
  textOrList,
  textOrMap,
  type ValueOf,
  type Values,
} from "./field.ts";
import { attributeOfPersonProblem, personNameProblem } from "./login.ts";
import { nearestName } from "./nearest-name.ts";

/** Everything that can stand in purser.yaml, once: the reader, the JSON Schema and the reference are made from it. */

/** Sizes beyond which a configuration is a mistake rather than a plan. */
const MOST = {
  budgets: 10_000,
  limits: 32,
  sharing: 1_000,
  exceptions: 1_000,
  providers: 200,
  models: 1_000,
  routes: 1_000,
  prices: 5_000,
  values: 10_000,
  headers: 50,
  nodes: 100,
};

const CALLED_CACHE_READ = "is called cache_read, here as under prices.";

const DAY_PATTERN = "^\\d{4}-\\d{2}-\\d{2}$";
const TOKENS_MOST = 1_000_000_000;
const HOUR_MS = 3_600_000;

export const DEFAULTS = {
  host: "127.0.0.1",
  port: 4100,
  dataDir: ".purser",
  maxBodyBytes: 32 * 1024 * 1024,
  drainMs: 30_000,
  timeoutMs: 600_000,
  defaultMaxOutput: 4_096,
  namespace: "purser",
  serviceName: "purser",
} as const;

const name = () => parsed({ minLength: 1, maxLength: 200 }, checkedName);
const tokens = () => count({ least: 0, most: TOKENS_MOST, what: "a number of tokens" });
/** Where a step of a ladder begins. */
const SHARE = "\\d{1,3}(\\.\\d{1,2})?\\s*%";
const AMOUNT = "(\\$\\s*[\\d.,_]+\\s*[kmbKMB]?|[\\d.,_]+\\s*[kmbKMB]?\\s+((input|output)\\s+)?(tokens?|requests?))(\\s+left)?";
const percentage = () => parsed({ pattern: "^\\d{1,3}(\\.\\d{1,2})?\\s*%$" }, (percent) => percent);
const models = () => list(text(), { most: MOST.models, least: 1, single: true });
const timezone = () => parsed({}, checkedTimeZone);
const mode = () => parsed({ pattern: "^\\s*(enforce|observe(\\s+until\\s+\\d{4}-\\d{2}-\\d{2}(T\\S+)?)?)\\s*$" }, checkedMode);
/** Budgets, providers and prices name models and providers; `*` stands for anything. */
const pattern = () => list(text(), { most: MOST.models, least: 1, single: true });

const SPOKEN = [...FAMILY_NAMES, ...DIALECTS];
const dialect = () => choice(SPOKEN);
const baseUrl = () => parsed({ examples: ["http://127.0.0.1:8000/v1"] }, checkedUrl);
type BaseUrlFields = { readonly [spoken in (typeof SPOKEN)[number]]: Field<string> };
const baseUrls = () => object(Object.fromEntries(SPOKEN.map((spoken) => [spoken, baseUrl()])) as BaseUrlFields);

const server = object(
  {
    host: described("The address to listen on. 127.0.0.1 is reached from this machine only.", parsed({ maxLength: 255 }, checkedHost), {
      default: DEFAULTS.host,
    }),
    port: described("The port to listen on. 0 takes a free one.", count({ least: 0, most: 65_535, what: "a port" }), {
      default: DEFAULTS.port,
    }),
    public_url: described("Where people reach the server, for links in notices. Where it listens, if it is left out.", baseUrl(), {
      examples: ["https://purser.example.com"],
    }),
    max_body: described("The largest request body that is accepted.", byteSize({ least: 1024, most: 1024 ** 3 }), { default: "32 MiB" }),
    drain: described("How long running calls may take to end when the server is told to stop.", duration({ least: 0, most: HOUR_MS }), {
      default: "30 s",
    }),
  },
  { emptyAllowed: true },
);

const store = object({
  redis: described(
    "A Redis or Valkey that several gateways share: its URL, or those of some nodes of a cluster. rediss:// is encrypted. Without it, balances live in the data folder, for one gateway.",
    list(parsed({ examples: ["redis://127.0.0.1:6379"] }, checkedRedisUrl), { most: MOST.nodes, least: 1, single: true }),
  ),
  sentinels: described(
    "Sentinels that know which server is the primary. The host in redis is their name for it.",
    located(list(parsed({ examples: ["redis://127.0.0.1:26379"] }, checkedSentinelUrl), { most: MOST.nodes, least: 1, single: true })),
  ),
  namespace: described(
    "Whose balances these are. Gateways with the same namespace on the same Redis share them.",
    parsed({}, checkedNamespace),
    {
      default: DEFAULTS.namespace,
    },
  ),
  leases: described(
    "Take allotments of the Redis, and decide from memory inside them: for budgets that many calls a second share, and for a Redis that may be away for a while.",
    flag(),
    { default: false },
  ),
  postgres: described(
    "A PostgreSQL database that keeps the whole ledger and the keys of all gateways. A change needs a restart.",
    parsed({ examples: ["postgres://purser@db.example.com/purser"] }, checkedPostgresUrl),
  ),
});

const provider = object(
  {
    api_key: described(`The key, best as \${NAME}. Left out, a preset looks in its own variable of the environment.`, secret()),
    admin_key: described(
      `The key of an administrator, best as \${NAME}: asks what was billed, and is sent with no call. Left out, a preset looks in its own variable.`,
      secret("it is not asked what it billed."),
    ),
    base_url: described(
      "Where the provider is. Paths are appended: /chat/completions and the like for openai, /v1/messages for anthropic, /v1beta/models/… for gemini, /publishers/google/models/… for vertex, /api/chat for ollama, /v2/chat for cohere, /model/… for bedrock. One URL for each dialect, where there are several.",
      textOrMap(baseUrl(), baseUrls()),
    ),
    dialect: described(
      "The wire format that the provider speaks: openai, anthropic, gemini, vertex, ollama, cohere or bedrock for all of that maker's, or one by its own name.",
      dialect(),
    ),
    auth_header: described(
      "The header that carries the key. authorization carries it as a bearer token, and is usual but for gemini, which has x-goog-api-key.",
      choice(["authorization", "x-api-key", "api-key", "x-goog-api-key"]),
    ),
    models: described(
      "Names of the models that this provider serves; * stands for anything. These count before what presets serve.",
      models(),
    ),
    deployments: described(
      "The provider's own names for models, as Azure has them, each with the model behind it. Calls may ask for either.",
      map(text(), { most: MOST.models }),
      { examples: [{ "our-chat": "gpt-4o" }] },
    ),
    headers: described(
      "Headers sent with every call.",
      map(parsed({}, checkedHeaderValue), { most: MOST.headers, key: headerProblem, pattern: "^[A-Za-z0-9-]+$" }),
    ),
    timeout: described(
      "The longest silence of the provider, before and between its bytes.",
      duration({ least: 1000, most: 24 * HOUR_MS }),
      { default: "10 m" },
    ),
  },
  { emptyAllowed: true },
);

const RETRY_WORDS: readonly string[] = ["4xx", "5xx", ...FAILURES];
const STATUS = "^[45]\\d\\d$";

const retry = object({
  attempts: described(
    "How many attempts there are in all. With more of them than providers, the first is asked again after the last.",
    count({ least: 1, most: ATTEMPTS_MOST, what: "a number of attempts" }),
  ),
  on: described(
    "After what a call is made again: statuses, 4xx, 5xx, unreachable, timeout (nothing came in time), broken (the connection broke before anything was passed on).",
    list(parsed({ anyOf: [{ enum: RETRY_WORDS }, { pattern: STATUS }] }, checkedRetry), { most: 100, least: 1, single: true }),
    { default: RETRIED_ON },
  ),
  wait: described(
    "The longest wait before a provider is asked again. One that asks to be left alone for longer is not.",
    duration({ least: 1, most: 60_000 }),
    {
      default: "2 s",
    },
  ),
});

const route = object(
  {
    model: described("A model, or a pattern in which * stands for anything.", text(), { examples: ["gpt-*"] }),
    provider: described("The name of a provider of this file. Where the model is called otherwise there: PROVIDER/MODEL.", text(), {
      examples: ["azure", "openrouter/openai/gpt-4o"],
    }),
    providers: described(
      "Several in the place of one, the first choice first: where one fails, the call goes on to the next.",
      list(text(), { most: ATTEMPTS_MOST, least: 1 }),
      { examples: [["azure", "openai", "openrouter/openai/gpt-4o"]] },
    ),
    retry: described("When a call is made again, and how often. Where it is left out, once for each provider.", retry),
  },
  { required: ["model"] },
);

const selector = map(list(text(), { most: MOST.values, least: 1, single: true }), {
  most: 32,
  key: attributeProblem,
  suggestions: ATTRIBUTES,
});

/** A map that says something. */
function filled<Value>(field: Field<ReadonlyMap<string, Value>>): Field<ReadonlyMap<string, Value>> {
  return {
    schema: { ...field.schema, minProperties: 1 },
    read: (place) => (place.entries()?.length === 0 ? place.problem("is empty. Name whom it is for.") : field.read(place)),
  };
}

/** Occasions, each with those who are told of it. */
function tells(pattern: string) {
  return map(list(text(), { most: 10, least: 1, single: true }), { most: 20, pattern });
}

/** How much a token counts: a number with few decimals. */
const weight = () =>
  parsed({ type: "number", minimum: 0, maximum: WEIGHT_MOST }, (value) => {
    const number = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (isWeight(number)) return number;
    throw new PurserError("config_invalid", `"${value}" is not a weight. Write ${WEIGHT_FORM}.`);
  });

/** The kinds have the names that they have under prices. */
const tokenWeights = object(
  {
    input: described("Input, where nothing else is said of it.", weight(), { default: 1 }),
    cache_read: described("Input read from the provider's cache.", weight()),
    cache_write: described("Input written to the provider's cache.", weight()),
    cache_write_1h: described("Input written to it for an hour. What cache_write says, where it is left out.", weight()),
    audio_input: described("Audio input.", weight()),
    image_input: described("Image input.", weight()),
    output: described("Output, where nothing else is said of it.", weight(), { default: 1 }),
    reasoning: described("Output that was spent on reasoning.", weight()),
    audio_output: described("Audio output.", weight()),
    image_output: described("Image output.", weight()),
  } satisfies Record<TokenKind, Field<number>>,
  { refused: { cached_input: CALLED_CACHE_READ, cached: CALLED_CACHE_READ } },
);

const exception = object(
  {
    for: described("Whom it is for: a value, or several, of what per names.", filled(selector), { examples: [{ user: "ann" }] }),
    limits: described(
      "What they may use instead. Each stands in the place of the budget's limit with the same unit and window.",
      list(limit(), { most: MOST.limits, least: 1, single: true }),
      { examples: [["50k tokens / day"]] },
    ),
    until: described("The last day on which it holds, in the budget's time zone.", parsed({ pattern: DAY_PATTERN }, checkedDay), {
      examples: ["2026-12-31"],
    }),
  },
  { required: ["for", "limits"] },
);

const overheadTokens = () => count({ least: 0, most: 100_000, what: "a number of tokens" });

const countedModel = object(
  {
    model: described("The models: a name, or several; * stands for anything.", pattern(), { examples: ["acme-*"] }),
    count_as: described(
      "The model that they are counted as: the name of one, of a family or of a vocabulary, such as qwen3, llama-3, gpt-4o, claude or cl100k; or of one that has a vocabulary here.",
      located(text({ most: 200 })),
      { examples: ["qwen3"] },
    ),
    vocabulary: described(
      "Their own vocabulary: the path of a tokenizer.json of Hugging Face or of a file of tiktoken, from the folder of this file.",
      located(text()),
      { examples: ["acme/tokenizer.json"] },
    ),
    pattern: described(
      "How text is cut before it is counted, for a file of tiktoken, which does not say it: a regular expression, or gpt2, cl100k or o200k.",
      text(),
      { examples: ["cl100k"] },
    ),
    overhead: described(
      "What is added to the tokens of the text, where it is known better than by default.",
      object({
        call: described("For every call.", overheadTokens()),
        message: described("For each message.", overheadTokens()),
        tools: described("For a call that has tools.", overheadTokens()),
        tool: described("For each tool, besides its definition.", overheadTokens()),
        image: described("The most that an image takes.", overheadTokens()),
      }),
      { examples: [{ call: 3, message: 5 }] },
    ),
  },
  { required: ["model"] },
);

/** More is a collection of documents rather than a list of answers. */
export const ANSWERS_MOST = 2_000;
const WORDINGS_MOST = 50;
export const ANSWER_MOST = 20_000;

const listedAnswer = object(
  {
    question: described(
      "The question, or several wordings of it. Case, blanks and punctuation make no difference.",
      list(text(), { most: WORDINGS_MOST, least: 1, single: true }),
    ),
    answer: described("The text that who asks it gets.", text({ most: ANSWER_MOST })),
  },
  { required: ["question", "answer"] },
);

/** A list of questions with their answers, in this file or one of its own. */
export const LISTED_ANSWERS = list(located(listedAnswer), { most: ANSWERS_MOST });

/** What holds for all budgets, and is looked for in one. */
const AT_THE_TOP = [
  ...["server", "data", "store", "providers", "routes", "models", "budgets", "channels", "login", "telemetry", "prices", "default_price"],
  ...["answers", "allowances", "commitments", "default_max_output", "unseen_input", "holds", "on_disconnect", "expose"],
];

const budget = object(
  {
    name: described("Names the budget in answers, reports and headers.", name()),
    for: described("Which calls it is for: attribute and value, or several values. All calls where it is left out.", selector, {
      examples: [{ team: "engineering" }, { tier: ["free", "trial"], "tag.env": "prod" }],
    }),
    per: described("One balance for each value of an attribute, or of several.", list(attribute(), { most: 8, least: 1, single: true }), {
      examples: ["user", ["team", "model"]],
    }),
    limits: described(
      "What may be used: `amount [unit] [/ window]`. A limit without a window is for the whole life.",
      list(limit(), { most: MOST.limits, single: true }),
      { examples: [["$50 / month", "1M tokens / day", "2 concurrent"]] },
    ),
    weights: described(
      "How much a token of each kind counts on the limits in tokens. A kind that is left out counts as what it is part of; input and output count 1.",
      tokenWeights,
      { examples: [{ cache_read: 0.1, output: 4 }] },
    ),
    exceptions: described(
      "Other amounts for some. The first that is for a call counts.",
      list(located(exception), { most: MOST.exceptions }),
    ),
    starts: described(
      "When windows start, where that is not the calendar's own: a day of the week, a day of the month, a month, or the date of an anniversary.",
      list(windowStart(), { most: 4, least: 1, single: true }),
      { examples: ["sunday", 15, "april", "2026-03-15"] },
    ),
    request: described(
      "What any one call may be.",
      object({
        max_input: described("The most input tokens of a call.", tokens()),
        max_output: described("The most output tokens of a call. Its own cap is lowered to this.", tokens()),
        max_total: described("The most tokens of a call, input and output.", tokens()),
        models: described("The models that calls may use; * stands for anything.", models()),
      }),
    ),
    ladder: described(
      "What happens to calls as the budget fills, by the share of its fullest limit that is spent or held, or of the limit that a step names: `85% of $`; or by an amount of a limit that is spent or held, `$400`, or left, `$20 left`. A later rung of a kind takes the place of an earlier one.",
      map(list(text(), { most: 10, least: 1, single: true }), { most: 20, pattern: `^(${SHARE}|${AMOUNT})(\\s+of\\s+\\S.*)?$` }),
      { examples: [{ "85%": "use gpt-4o-mini", "90%": ["shorten 300", "slow"], "100%": 'answer "We are at capacity today."' }] },
    ),
    share: described(
      "Moves what some budgets, or balances of this one, leave unused to others that need more, until their window ends.",
      object(
        {
          among: described(
            "The budgets that share; the balances of this one where it is left out.",
            list(name(), { most: MOST.sharing, least: 2 }),
          ),
          every: described("Amounts are moved at most once in each.", choice(CALENDAR_PERIODS)),
          from: described("The share of its limit from which on somebody needs more.", percentage(), { default: "80%" }),
          keep: described("Nobody is left with less than this share of its own limit.", percentage(), { default: "50%" }),
          most: described("Nobody gets more than this share of its own limit on top of it.", percentage(), { default: "50%" }),
        },
        { required: ["every"] },
      ),
      { examples: [{ among: ["search", "chat"], every: "week" }] },
    ),
    adjust: described(
      "Lets the amount of a limit follow what is used of it, within bounds.",
      object(
        {
          within: described(
            "The least and the most that it may be. The window stands behind them where several limits have the unit: `$30 - $80 / day`.",
            text(),
            { examples: ["$30 - $80"] },
          ),
          every: described(
            "It changes as each of these ends; where its window does, if it is left out.",
            choice(["day", "week", "month", "quarter"]),
          ),
          follow: described(
            "What it follows: a percentile of days, of a limit by the day; or what days come to on average, of a longer one. p95 of 28 days, or average of 28 days, where it is left out.",
            text(),
            { examples: ["p95 of 28 days"] },
          ),
          margin: described("What is added to that.", percentage(), { default: "25%" }),
          step: described("It changes by no more at a time.", percentage(), { default: "20%" }),
          mode: described("propose changes nothing, and tells what would be.", choice(["apply", "propose"]), { default: "apply" }),
        },
        { required: ["within"] },
      ),
      { examples: [{ within: "$30 - $80", every: "week" }] },
    ),
    guard: described(
      "Watches over the calls of each subject for loops, and stands against them until they stop.",
      object({
        repeats: described("The same call so often within ten minutes.", count({ least: 2, most: 10_000, what: "a number of calls" })),
        same_tool: described(
          "A tool called so often in a row with the same arguments and the same result, by what a conversation shows; or a few such calls that come round so often; or the same error so often.",
          count({ least: 2, most: 100, what: "a number of calls" }),
        ),
        growth: described(
          "So many calls in a row that each carry more than the one before, and twice as much in the end as in the beginning.",
          count({ least: 3, most: 10_000, what: "a number of calls" }),
        ),
        surge: described(
          "A minute that costs so many times what the dearest minute lately did.",
          count({ least: 2, most: 10_000, what: "how many times as much" }),
        ),
        do: described(
          "What happens then: block, slow, shorten and tell, as in a ladder.",
          list(text(), { most: 10, least: 1, single: true }),
          {
            default: ["block"],
          },
        ),
        lasts: described("How long it lasts.", duration({ least: 1000, most: 24 * HOUR_MS }), { default: "5 m" }),
      }),
      { examples: [{ repeats: 10, same_tool: 5, surge: 10, do: ["block", "tell slack"] }] },
    ),
    alerts: described(
      "What else is told, and to whom, each once: forecast, when it will be gone before it resets; anomaly 3x, when an hour or a day takes so many times what the dearest lately did; anomaly each 10x, when a day of one balance does; hourly AMOUNT, when more is spent in an hour; reset, when it is open again after it was used up; adjusted, when its rule changes its amount or proposes to; trial, before it begins to refuse calls, and when it does.",
      tells("^\\s*(forecast|reset|adjusted|trial|anomaly(\\s+each)?(\\s+\\d+(\\.\\d)?x)?|hourly\\s+\\S.*)\\s*$"),
      {
        examples: [
          { forecast: "tell slack", "anomaly 3x": "tell slack", "hourly $50": ["tell slack", "tell oncall"], reset: "tell slack" },
        ],
      },
    ),
    timezone: described("The IANA time zone whose calendar the windows follow.", timezone(), { examples: ["Europe/Berlin"] }),
    owner: described(
      "Who answers for the budget: an address or a name. Where it is left out, the owner of the budget that this one is a part of.",
      text(),
    ),
    cost_center: described(
      "Where the calls of the budget are booked. Of several budgets of a call, that of the one whose `for` names the most attributes counts.",
      text({ most: 256 }),
      { examples: ["CC-4711"] },
    ),
    mode: described(
      "observe records what would have been refused, and refuses nothing; observe until 2026-12-15 refuses from the day after on, by the budget's time zone. That of the file where it is left out.",
      mode(),
      { default: "enforce", examples: ["observe", "observe until 2026-12-15"] },
    ),
    min_output: described(
      "The output cap of a call is lowered to what fits, but not below this. Of the budgets of a call that say it, the largest counts.",
      tokens(),
      { default: 256 },
    ),
    on_store_failure: described("open lets calls pass uncounted while the store is down.", choice(["open", "closed"]), {
      default: "closed",
    }),
  },
  {
    required: ["name"],
    refused: Object.fromEntries(
      AT_THE_TOP.map((field) => [field, "stands at the top of the file, beside budgets, and not in one of them."]),
    ),
  },
);

const channelSecret = () => secret("this channel tells nobody.");

const channel = object(
  {
    kind: described("What it is.", choice(CHANNEL_KINDS)),
    url: described(`Where notices are posted: the address of the webhook, as \${NAME} where it is a secret.`, channelSecret()),
    secret: described("Signs what is posted to a webhook: `whsec_…`, as Standard Webhooks has it.", channelSecret()),
    routing_key: described("PagerDuty's integration key, of an Events API v2 integration.", channelSecret()),
    server: described("The mail server: smtps://user:password@host, or smtp:// for STARTTLS.", channelSecret()),
    from: described("Whom e-mails come from.", text(), { examples: ["Purser <purser@example.com>"] }),
    to: described("Whom e-mails go to. The owner of the budget where it is left out.", list(text(), { most: 50, least: 1, single: true })),
    escalate: described("Whom else an alert is told to, where nobody acknowledges it within a time: `CHANNEL after 15m`.", text(), {
      examples: ["oncall after 15m"],
    }),
    quiet: described(
      "Hours in which nothing is told, in the time zone of the budget. What comes meanwhile is told in one message when they end.",
      text(),
      { examples: ["22:00-07:00"] },
    ),
    digest: described("The time of day at which all is told in one message, in the time zone of the budget.", text(), {
      examples: ["09:00"],
    }),
  },
  { required: ["kind"] },
);

const perMillion = () => dollars(parseDollarsPerMillion);
const fee = () => dollars(parseDollars);

const rates = {
  input: described("Dollars for a million input tokens.", perMillion()),
  output: described("Dollars for a million output tokens.", perMillion()),
  cache_read: described("Dollars for a million input tokens read from the provider's cache.", perMillion()),
  cache_write: described("Dollars for a million input tokens written to the provider's cache for 5 minutes.", perMillion()),
  cache_write_1h: described("Dollars for a million input tokens written to the provider's cache for an hour.", perMillion()),
  audio_input: described("Dollars for a million tokens of audio input.", perMillion()),
  image_input: described("Dollars for a million tokens of image input.", perMillion()),
  reasoning: described("Dollars for a million tokens of reasoning. What output costs, where it is left out.", perMillion()),
  output_after_reasoning: described("Dollars for a million output tokens once the model has reasoned.", perMillion()),
  audio_output: described("Dollars for a million tokens of audio output.", perMillion()),
  image_output: described("Dollars for a million tokens of image output.", perMillion()),
};

const charges = {
  ...rates,
  tiers: described(
    "Prices for the whole of a call whose input is larger than `above` tokens.",
    list(object({ above: described("Tokens of input.", tokens()), ...rates }, { required: ["above"] }), { most: 16, least: 1 }),
  ),
  of_input: described(
    "Kinds as a multiple of the input price, where nothing else says what they cost.",
    object({ cache_read: share(), cache_write: share(), cache_write_1h: share() }),
  ),
  batch: described("The share of the price that a batch costs: 0.5 is half.", share()),
  flex: described("The share of the price that the slower tier costs.", share()),
  priority: described("The share of the price that the faster tier costs.", share()),
  request: described("Dollars for every call, besides its tokens.", fee()),
  tools: described("Dollars for one use of a provider's tool, by name.", map(fee(), { most: 100 }), {
    examples: [{ web_search: 0.01 }],
  }),
  free: described("The model costs nothing.", mark()),
  max_output: described("The most output tokens that the model can write.", tokens()),
  context: described("The most tokens that the model can read and write together.", tokens()),
  lacks: described(
    "What the model does not take, so that no ladder sends it there.",
    list(choice(LACKS), { most: LACKS.length, single: true }),
  ),
};

const price = object(
  {
    model: described("Names of models; * stands for anything.", pattern()),
    provider: described("The providers it holds for. All of them where it is left out.", pattern()),
    ...charges,
    from: described("The first day on which it holds, in UTC.", parsed({ pattern: DAY_PATTERN }, checkedDay), {
      examples: ["2026-01-31"],
    }),
  },
  { required: ["model"] },
);

const allowance = object(
  {
    name: described("Names the allowance in reports.", name()),
    provider: described("The providers whose calls use it up together; * stands for anything.", pattern()),
    models: described("The models it is for, * for anything. All of the provider's where it is left out.", models()),
    limit: described("How much is free in each window. A call that fits what is left of it costs nothing.", allowanceLimit(), {
      examples: ["1M tokens / day"],
    }),
    until: described("The last day on which it is given.", parsed({ pattern: DAY_PATTERN }, checkedDay), { examples: ["2026-12-31"] }),
    timezone: described("The time zone in which the provider counts its days.", timezone(), { default: "UTC" }),
  },
  { required: ["name", "provider", "limit"] },
);

const NOT_SUMMED = "is not added up by the hour, so it cannot weigh here. Kinds are input, cache_read, cache_write, output and reasoning.";

const capacityWeights = object(
  {
    input: described("Input, where nothing else is said of it.", weight(), { default: 1 }),
    cache_read: described("Input read from the provider's cache.", weight()),
    cache_write: described("Input written to the provider's cache.", weight()),
    output: described("Output, where nothing else is said of it.", weight(), { default: 1 }),
    reasoning: described("Output that was spent on reasoning.", weight()),
  },
  {
    refused: Object.fromEntries(
      ["cache_write_1h", "audio_input", "image_input", "audio_output", "image_output"].map((kind) => [kind, NOT_SUMMED]),
    ),
  },
);

const commitment = object(
  {
    name: described("Names the commitment.", name()),
    provider: described("The providers it was made to; * stands for anything.", pattern()),
    models: described("The models that count, * for anything. All of the provider's where it is left out.", models()),
    commit: described(
      "How much is bought in each period: money, or tokens or requests of capacity.",
      parsed({}, (value) => parseCommitted(value) && value),
      { examples: ["$10,000 / month", "100k tokens / minute"] },
    ),
    units: described("How many times as much is bought, and paid.", count({ least: 1, most: 100_000, what: "a number of units" }), {
      default: 1,
    }),
    discount: described(
      "What the provider takes off the prices of the ledger, where money is committed to.",
      parsed({ pattern: "^\\s*\\d{1,2}(\\.\\d{1,2})?\\s*%?\\s*$" }, (value) => parseDiscount(value)),
      { examples: ["12%"] },
    ),
    price: described(
      "What capacity costs, used or not.",
      parsed({}, (value) => parseCapacityPrice(value)),
      { examples: ["$2 / hour"] },
    ),
    weights: described("By how much tokens of each kind count, where capacity is in tokens and not every one is one.", capacityWeights, {
      examples: [{ output: 4, cache_read: 0 }],
    }),
    from: described("The first day. Months, quarters and years of it begin on that day.", parsed({ pattern: DAY_PATTERN }, checkedDay), {
      examples: ["2026-01-01"],
    }),
    until: described("The last day.", parsed({ pattern: DAY_PATTERN }, checkedDay), { examples: ["2026-12-31"] }),
    timezone: described("The time zone in which the provider counts its months.", timezone(), { default: "UTC" }),
  },
  { required: ["name", "provider", "commit"] },
);

const person = object(
  {
    role: described(
      "What the person may do: member sees their own calls and costs, viewer everything, admin changes things too.",
      choice(PERSON_ROLES),
    ),
    password: described("The hash of the password, as `purser users hash` prints it.", secret("nobody can sign in by this name.")),
    attributes: described(
      "Whose the person is: a member sees the calls of `user`, which is the person's name where it is left out.",
      map(parsed({ maxLength: 200 }, checkedPersonValue), { most: 6, key: attributeOfPersonProblem }),
      { examples: [{ user: "ann@example.com", team: "support" }] },
    ),
  },
  { required: ["role", "password"] },
);

const oidc = object(
  {
    issuer: described("The provider of identities, whose /.well-known/openid-configuration says all else.", parsed({}, checkedIssuer), {
      examples: ["https://login.example.com/realms/company"],
    }),
    client_id: described("The name by which it knows this server.", parsed({ maxLength: 500 }, checkedName)),
    client_secret: described(`The secret of that client, best as \${NAME}. None for a public client.`, secret("people cannot sign in.")),
    scopes: described("What is asked for.", list(text(), { most: 20, least: 1 }), { default: ["openid", "profile", "email"] }),
    name: described("The claim that is somebody's name here, and the `user` whose calls a member sees.", text(), { default: "email" }),
    roles: described(
      "Which values of a claim give which role. Who has several gets the most.",
      object({
        claim: described("The claim, or a path to it such as realm_access.roles.", text(), { default: "groups" }),
        admin: described("Values that make an admin.", list(text(), { most: 100, single: true })),
        viewer: described("Values that make a viewer.", list(text(), { most: 100, single: true })),
        member: described("Values that make a member.", list(text(), { most: 100, single: true })),
      }),
    ),
    otherwise: described("What those get who have none of these values.", choice(["refuse", "member", "viewer"]), { default: "refuse" }),
    label: described("What it is called on the button.", parsed({ maxLength: 60 }, checkedName), { examples: ["Company account"] }),
  },
  { required: ["issuer", "client_id"] },
);

const login = object({
  people: described(
    "People who sign in to the dashboard by name and password, besides those of `purser users`.",
    map(located(person), { most: 1_000, key: personNameProblem }),
  ),
  oidc: described("A provider of identities with which people sign in, by OpenID Connect.", located(oidc)),
});

const telemetry = object(
  {
    otlp: described(
      "The base URL of an OpenTelemetry collector that takes OTLP over HTTP. /v1/traces and /v1/metrics are appended.",
      parsed({ examples: ["http://127.0.0.1:4318"] }, checkedCollectorUrl),
    ),
    headers: described(
      "Headers for the collector, such as its key.",
      map(parsed({}, checkedHeaderValue), { most: MOST.headers, key: collectorHeaderProblem, pattern: "^[A-Za-z0-9-]+$" }),
      { examples: [{ authorization: `Bearer \${COLLECTOR_TOKEN}` }] },
    ),
    service_name: described("The name of this gateway among other services.", parsed({ maxLength: 200 }, checkedName), {
      default: DEFAULTS.serviceName,
    }),
    sample: described(
      "The share of traces that is sent, of those that begin here. What a caller began is sent as its traceparent says. Metrics count every call.",
      share(),
      { default: 1 },
    ),
    attributes: described("What else is said of this gateway.", map(parsed({ maxLength: 200 }, checkedName), { most: MOST.headers }), {
      examples: [{ "deployment.environment.name": "production" }],
    }),
  },
  { required: ["otlp"] },
);

/** The whole file. */
export const CONFIGURATION = object({
  server: described("The server itself. A change of host or port needs a restart.", server),
  data: described("The folder for the journal and the keys, from where this file stands. A change needs a restart.", text(), {
    default: DEFAULTS.dataDir,
  }),
  store: described("Where balances and the ledger live. A change needs a restart.", store),
  providers: described(
    `Where calls go. A preset needs a key only: ${[...PRESETS.keys()].join(", ")}. Without this field all presets are there.`,
    map(located(provider), {
      most: MOST.providers,
      key: providerNameProblem,
      pattern: "^[a-z0-9][a-z0-9._-]*$",
      suggestions: [...PRESETS.keys()],
    }),
  ),
  routes: described(
    "Which provider serves which models, before the providers' own patterns; or which providers, one after the other. The first that matches counts.",
    list(located(route), { most: MOST.routes }),
  ),
  models: described(
    "How the tokens of models are counted that are your own or have names of their own. The first that matches counts.",
    list(located(countedModel), { most: MOST.models }),
  ),
  budgets: described("The budgets. All that select a call hold at the same time.", list(located(budget), { most: MOST.budgets })),
  answers: described(
    "Questions whose answers are ready, by the names that ladders use: `lookup faq`. A list, or the path of a YAML, JSON or CSV file from the folder of this one.",
    map(located(textOrList(text(), LISTED_ANSWERS)), { most: 100, key: answersNameProblem, pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]*$" }),
    { examples: [{ faq: [{ question: "When are you open?", answer: "From 9 to 17, Monday to Friday." }] }, { faq: "faq.csv" }] },
  ),
  channels: described(
    "Where people are told, by the names that ladders use: `tell slack`.",
    map(located(channel), { most: 100, key: channelNameProblem, pattern: "^[a-z0-9][a-z0-9._-]*$" }),
  ),
  alerts: described(
    "What is told of providers, and to whom: failing 20%, when so much of the calls to one fail within five minutes; captured 97%, when less of what one billed for a day is in the ledger, or as much too much; unused 10%, when so much of a commitment will be paid for nothing at this pace; allowance 80%, when so much of what one gives away is used; ending 14d, so long before a commitment or an allowance ends; and of every budget whose trial ends, trial.",
    tells("^\\s*(trial|(failing|captured|unused|allowance)\\s+\\d+(\\.\\d+)?\\s*%|ending\\s+\\S+)\\s*$"),
    {
      examples: [
        {
          "failing 20%": "tell oncall",
          "captured 97%": "tell finance",
          "unused 10%": "tell finance",
          "ending 14d": "tell finance",
          trial: "tell email",
        },
      ],
    },
  ),
  login: described("Who signs in to the dashboard, besides with a token or key.", login),
  telemetry: described("Traces and metrics for an OpenTelemetry collector. A change needs a restart.", telemetry),
  mode: described("The mode of every budget that has none of its own: enforce, observe, or observe until 2026-12-15.", mode(), {
    default: "enforce",
    examples: ["observe until 2026-12-15"],
  }),
  timezone: described("The time zone of every budget and report that has none of its own.", timezone(), { default: "UTC" }),
  prices: described("Your own prices. They win over the catalogue.", list(located(price), { most: MOST.prices })),
  default_price: described(
    "What a model without a price costs. Without it, such a model is refused where a budget limits money.",
    located(object(charges)),
    { examples: [{ input: 10, output: 30 }] },
  ),
  allowances: described("Tokens that a provider gives away.", list(located(allowance), { most: 100 })),
  commitments: described(
    "What was promised to providers: so much money for a discount, or capacity that is paid whether it is used or not.",
    list(located(commitment), { most: 100 }),
  ),
  default_max_output: described(
    "The output cap of a call that names none, to a model whose maximum is unknown.",
    count({ least: 1, most: 10_000_000, what: "a number of tokens" }),
    { default: DEFAULTS.defaultMaxOutput },
  ),
  unseen_input: described(
    "What is held for input that a call names and does not carry, such as an earlier answer. What the model can read, where it is left out.",
    count({ least: 0, most: TOKENS_MOST, what: "a number of tokens" }),
    { examples: ["50k"] },
  ),
  holds: described(
    "What is held for an answer: full, all that it can have; or learned, of a stream what 95 of 100 answers of its model and feature have, and more while it streams. A stream for which no more can be held ends as if its cap had been reached.",
    choice(["full", "learned"]),
    { default: "full" },
  ),
  on_disconnect: described(
    "When the caller goes away: abort the provider and charge what was delivered, or read its answer to the end.",
    choice(["abort", "drain"]),
    { default: "abort" },
  ),
  expose: described(
    "What answers may reveal.",
    object({
      cost: described("What the call cost.", flag(), { default: true }),
      left: described("What is left of the tightest budget, and when it resets.", flag(), { default: true }),
      owner: described("Who owns the budget that refuses a call: in the message of the refusal, not in a header.", flag(), {
        default: true,
      }),
    }),
  ),
});

function limit(): Field<string> {
  // Only the form is judged here: the time zone of the budget is known where the budget is put together.
  return parsed(
    {
      type: ["string", "integer"],
      examples: [
        "$50 / month",
        "100k tokens / day",
        "10 requests / hour",
        "2 concurrent",
        "$2",
        "1M tokens / rolling 24h",
        "100k tokens / minute bucket burst 120k",
        "10 requests / minute leaky",
        "$50 / month rollover $20",
      ],
    },
    (value) => {
      try {
        parseLimit(value, "UTC");
      } catch (error) {
        if (!(error instanceof PurserError)) throw error;
        throw new PurserError(error.code, error.message + limitHint(value));
      }
      return value;
    },
  );
}

const LIMIT_WORDS = [
  ...["tokens", "token", "input", "output", "requests", "request", "concurrent"],
  ...CALENDAR_PERIODS,
  ...BUCKET_PERIODS,
  ...["rolling", "bucket", "leaky", "burst", "wait", "rollover"],
];

/** Of a limit that cannot be read: what its first word that is none was most likely meant to be. */
function limitHint(written: string): string {
  for (const word of written.toLowerCase().match(/[a-z]{3,}/g) ?? []) {
    const nearest = LIMIT_WORDS.includes(word) ? undefined : nearestName(word, LIMIT_WORDS);
    if (nearest !== undefined) return ` Did you mean "${nearest}"?`;
  }
  return "";
}

function windowStart(): Field<string> {
  return parsed({ type: ["string", "integer"] }, (value) => {
    try {
      parseWindowStart(value);
    } catch (error) {
      const nearest = nearestName(value, WINDOW_START_NAMES);
      if (!(error instanceof PurserError) || nearest === undefined) throw error;
      throw wrong(`${error.message} Did you mean "${nearest}"?`);
    }
    return value;
  });
}

function allowanceLimit(): Field<string> {
  return parsed({ type: "string" }, (value) => {
    const { unit } = parseLimit(value, "UTC");
    if (unit === "nanodollars" || unit === "concurrent")
      throw wrong(`"${value}" cannot be given away. Write tokens or requests, like 1M tokens / day.`);
    return value;
  });
}

function attribute(): Field<SubjectPath> {
  return parsed({ pattern: `^(${ATTRIBUTES.join("|")}|tag\\..+)$` }, (value) => {
    if (isSubjectPath(value)) return value;
    throw wrong(`"${value}" is not an attribute.${attributeHint(value)}`);
  });
}

export function attributeProblem(key: string): string | undefined {
  return isSubjectPath(key) ? undefined : `"${key}" is not an attribute of a call, so this would never select any.${attributeHint(key)}`;
}

function attributeHint(written: string): string {
  const nearest = nearestName(written, ATTRIBUTES);
  if (nearest !== undefined) return ` Did you mean "${nearest}"?`;
  return ` Attributes are ${ATTRIBUTES.join(", ")}; write tag.${written === "" || written === "tag." ? "NAME" : written} for a tag.`;
}

function providerNameProblem(key: string): string | undefined {
  // Callers write `name/model`, so a name has no slash; headers and labels carry it, so it is plain.
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(key)
    ? undefined
    : `"${key}" cannot name a provider. Use small letters, digits, dots and dashes.`;
}

function answersNameProblem(key: string): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(key)
    ? undefined
    : `"${key}" cannot name a list of answers. Use letters, digits, dots and dashes.`;
}

function channelNameProblem(key: string): string | undefined {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(key)
    ? undefined
    : `"${key}" cannot name a channel. Use small letters, digits, dots and dashes.`;
}

const CONNECTION_HEADERS = new Set([
  "host",
  "content-length",
  "content-type",
  "transfer-encoding",
  "connection",
  "upgrade",
  "te",
  "trailer",
  "expect",
]);
const KEY_HEADERS = new Set(["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"]);

function collectorHeaderProblem(key: string): string | undefined {
  if (!/^[A-Za-z0-9-]+$/.test(key)) return `"${key}" is not the name of a header.`;
  if (CONNECTION_HEADERS.has(key.toLowerCase())) return `"${key}" belongs to the connection and is set by Purser.`;
  return undefined;
}

function headerProblem(key: string): string | undefined {
  if (!/^[A-Za-z0-9-]+$/.test(key)) return `"${key}" is not the name of a header.`;
  if (CONNECTION_HEADERS.has(key.toLowerCase())) return `"${key}" belongs to the connection and is set by Purser.`;
  if (KEY_HEADERS.has(key.toLowerCase())) return `"${key}" carries the key. Write it as api_key, with auth_header.`;
  return undefined;
}

function checkedHeaderValue(value: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  throw wrong("has characters that a header cannot carry.");
}

function checkedRetry(value: string): string {
  const word = value.trim().toLowerCase();
  if (RETRY_WORDS.includes(word) || new RegExp(STATUS).test(word)) return word;
  throw wrong(
    `"${value}" is nothing after which a call can be made again. Write a status from 400 on, or one of ${RETRY_WORDS.join(", ")}.`,
  );
}

function checkedName(value: string): string {
  const problem =
    value.length > 200 ? "is longer than 200 characters" : /\p{Cc}/u.test(value) ? "has a control character in it" : undefined;
  if (problem) throw wrong(`${problem}. Choose another name.`);
  return value.trim();
}

function checkedHost(value: string): string {
  if (/^[A-Za-z0-9.:_-]{1,255}$/.test(value)) return value;
  throw wrong(`"${value}" is not an address to listen on. Write one like 127.0.0.1, 0.0.0.0 or ::1.`);
}

/** The days of a trial are those of a time zone, of which nothing is known here; every one has the same. */
function checkedMode(value: string): ModeInput {
  const [word = ""] = value.trim().split(/\s/);
  const nearest = nearestName(word, MODES);
  if (!MODES.includes(word) && nearest !== undefined)
    throw new PurserError("config_invalid", `"${value}" is no mode. Did you mean "${nearest}"?`);
  parseMode(value, "UTC");
  return value as ModeInput;
}

const MODES: readonly string[] = ["enforce", "observe"];

function checkedTimeZone(value: string): string {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: value }) && value;
  } catch {
    throw wrong(`"${value}" is not a time zone. Use an IANA name such as Europe/Berlin or UTC.`);
  }
}

function checkedDay(value: string): string {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)) && new Date(value).toISOString().startsWith(value);
  if (isDay) return value;
  throw wrong(`"${value}" is not a day. Write one like 2026-01-31.`);
}

function checkedUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw wrong(`"${value}" is not a URL. Write one like https://api.example.com/v1.`);
  if (url.username || url.password) throw wrong("has a user or password in the URL. Write the key as api_key.");
  if (url.search || url.hash) throw wrong("has a query or fragment in the URL. Leave out what follows the path.");
  const path = url.pathname.replace(/\/+$/, "");
  const appended = ["/chat/completions", "/v1/messages"].find((end) => path.endsWith(end));
  if (appended) throw wrong(`ends with ${appended}, which Purser appends itself. Leave it out.`);
  return url.origin + path;
}

function checkedIssuer(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw wrong(`"${value}" is not the URL of a provider of identities. Write one like https://login.example.com.`);
  if (url.username || url.password || url.search || url.hash) throw wrong("has more than a host and a path. Leave the rest out.");
  return value.replace("/.well-known/openid-configuration", "");
}

function checkedPersonValue(value: string): string {
  if (!/^[^*\p{Cc}]{1,200}$/u.test(value)) throw wrong(`"${value}" would select more than one. Write one value.`);
  return value;
}

/** Collectors take what is appended to a base; many documents show the whole address of traces. */
function checkedCollectorUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw wrong(`"${value}" is not the URL of a collector. Write one like http://127.0.0.1:4318.`);
  if (url.username || url.password) throw wrong("has a user or password in the URL. Write them under headers, as authorization.");
  if (url.search || url.hash) throw wrong("has a query or fragment in the URL. Leave out what follows the path.");
  if (url.port === "4317") throw wrong("is the port of OTLP over gRPC. Write that of OTLP over HTTP, which usually is 4318.");
  const path = url.pathname.replace(/\/+$/, "");
  if (/\/v1\/(traces|metrics|logs)$/.test(path)) throw wrong("ends with a path that Purser appends itself. Leave it out.");
  return url.origin + path;
}

/** Says nothing of the URL itself: it may have a password in it. */
function checkedRedisUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "")
    throw wrong("is not a URL of Redis. Write one like redis://127.0.0.1:6379, or rediss://user:password@host:6379 for TLS.");
  if (!/^\/?\d*$/.test(url.pathname))
    throw wrong("has a path that is not the number of a database. Write one like redis://host:6379/2, or leave it out.");
  if (url.search || url.hash) throw wrong("has a query or fragment in the URL. Leave out what follows the path.");
  return value;
}

function checkedSentinelUrl(value: string): string {
  if (/^\/?$/.test(new URL(checkedRedisUrl(value)).pathname)) return value;
  throw wrong("has a database, and sentinels have none. Write it in redis, like redis://primary/2.");
}

function checkedNamespace(value: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(value)) return value;
  throw wrong(`"${value}" cannot be a namespace. Use letters, digits, dots and dashes, at most 64.`);
}

/** Says nothing of what is in it: that is a password. */
function checkedPostgresUrl(value: string): string {
  if (/^postgres(ql)?:\/\//.test(value) && URL.canParse(value)) return value;
  throw wrong("is not the address of a PostgreSQL database. Write one like postgres://user:password@host:5432/database.");
}

function wrong(message: string): PurserError {
  return new PurserError("config_invalid", message);
}

/** One budget as it stands in the file, and as the admin API takes it. */
export const BUDGET_SCHEMA = budget.schema;

export type ConfigurationFields = ValueOf<typeof CONFIGURATION>;
export type ProviderFields = ValueOf<typeof provider>;
export type ChannelFields = ValueOf<typeof channel>;
export type BudgetFields = ValueOf<typeof budget>;
export type RouteFields = ValueOf<typeof route>;
export type CountedModelFields = ValueOf<typeof countedModel>;
export type AnswerFields = ValueOf<typeof listedAnswer>;
export type ExceptionFields = ValueOf<typeof exception>;
export type PriceFields = ValueOf<typeof price>;
export type CommitmentFields = ValueOf<typeof commitment>;
export type AllowanceFields = ValueOf<typeof allowance>;
export type ChargeFields = Values<typeof charges>;
