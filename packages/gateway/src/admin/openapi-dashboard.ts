import { ALERT_KINDS } from "../alerts/notice.ts";
import { BUDGET_SCHEMA } from "../config/description.ts";
import { PERSON_ATTRIBUTES, PERSON_ROLES } from "../people/person.ts";
import { MINUTES_BY } from "./minutes.ts";

const TEXT = { type: "string" } as const;
const WHY = { type: "string", description: "Stands in the audit log." } as const;
const VERSION = { type: "string", description: "As `GET` said it: who changes what somebody else has changed meanwhile is told." } as const;
const WHO = { type: "string", description: "Who does it." } as const;

const ROLE = { enum: PERSON_ROLES, description: "As a key of that role, but for calls, which need a key." } as const;
const ATTRIBUTES = {
  type: "object",
  description: "Whose calls a member sees, and whose budgets besides.",
  additionalProperties: false,
  properties: Object.fromEntries(PERSON_ATTRIBUTES.map((attribute) => [attribute, TEXT])),
} as const;
const NEW_PASSWORD = { type: "string", minLength: 10, description: "One is made where it is left out." } as const;

/** How kinds of tokens count on a limit, or in the amounts of a balance. */
export const WEIGHTS = {
  type: "object",
  additionalProperties: { type: "number" },
  description: "How much a token of each kind counts; left out where every token is one.",
  examples: [{ cache_read: 0.1, output: 4 }],
} as const;

const MODE = { enum: ["enforce", "observe"], description: "What it does now with calls that do not fit." } as const;
/** When a budget that only observes begins to refuse. */
export const OBSERVES_UNTIL = {
  type: ["string", "null"],
  format: "date-time",
  description: "When its trial ends; null where it has no end, or is over.",
} as const;

/** The part of the admin API that the dashboard is made of: what is looked at together, and what only a gateway that runs knows. */
export const DASHBOARD_PATHS = {
  "/api/overview": {
    get: {
      operationId: "getOverview",
      summary: "What is used today and this month, by whom, and where it leads. From sums, so that the size of the ledger does not matter.",
      responses: answers("The overview.", ref("Overview")),
    },
  },
  "/api/minutes": {
    get: {
      operationId: "getMinutes",
      summary:
        "What was used in the last hour, minute by minute, by one attribute. From sums in memory: at once, however many calls there are.",
      parameters: [{ name: "by", in: "query", description: "What it is taken apart by.", schema: { enum: MINUTES_BY, default: "team" } }],
      responses: answers("The last hour.", ref("Minutes")),
    },
  },
  "/api/people": {
    get: {
      operationId: "listPeople",
      summary: "Who signs in by name, without anything of their passwords.",
      responses: answers("Everybody.", list(ref("Person"))),
    },
    post: {
      operationId: "createPerson",
      summary: "Lets somebody sign in by name. The password that is made is in this answer and never again.",
      requestBody: body(object({ name: TEXT, role: ROLE, attributes: ATTRIBUTES, password: NEW_PASSWORD }, ["name", "role"])),
      responses: { 201: answers("They sign in from now on.", withPassword())[200], default: { $ref: "#/components/responses/Problem" } },
    },
  },
  "/api/people/{name}": {
    delete: {
      operationId: "removePerson",
      summary: "Ends the sessions of a person, and lets them sign in no more.",
      parameters: [personName()],
      responses: answers("They are removed.", object({ name: TEXT, removed: { const: true } })),
    },
  },
  "/api/people/{name}/password": {
    post: {
      operationId: "resetPassword",
      summary: "Gives a person another password, and ends the sessions that began with the old one.",
      parameters: [personName()],
      requestBody: { ...body(object({ password: NEW_PASSWORD }, [])), required: false },
      responses: answers("The password, in this answer and never again.", withPassword()),
    },
  },
  "/api/budget-tree": {
    get: {
      operationId: "listBudgetTree",
      summary: "Every budget as it is configured, the budget above it, and where its fullest balances lead.",
      responses: answers("The budgets, as the configuration has them.", list(ref("Budget"))),
    },
  },
  "/api/adjustments": {
    get: {
      operationId: "listAdjustments",
      summary:
        "The limits that follow what is used of them: what was decided, when they are looked at next, and what would be decided now.",
      responses: answers("One for each budget with `adjust`.", list(ref("Adjustment"))),
    },
  },
  "/api/trials": {
    get: {
      operationId: "listTrials",
      summary: "What budgets that only observe would have refused, and of whom; also those whose trial is over.",
      responses: answers("One for each budget with `mode: observe`, with an end or without.", list(ref("Trial"))),
    },
  },
  "/api/budgets/{name}": {
    get: {
      operationId: "getBudget",
      summary: "A budget as it is written in the configuration file.",
      parameters: [name()],
      responses: answers("The budget.", ref("WrittenBudget")),
    },
    put: {
      operationId: "replaceBudget",
      summary:
        "Writes a budget anew in the configuration file, which is taken over within seconds. What stays the same stays as it is written.",
      parameters: [name(), dryRun()],
      requestBody: body(object({ budget: ref("BudgetItem"), version: VERSION, why: WHY }, ["budget"])),
      responses: answers("It is written; or, with `dry_run`, what would come of it.", {
        anyOf: [ref("BudgetChange"), ref("BudgetTrial")],
      }),
    },
    delete: {
      operationId: "removeBudget",
      summary: "Takes a budget out of the configuration file. Its charges stay in the ledger.",
      parameters: [name(), dryRun()],
      requestBody: { ...body(object({ version: VERSION, why: WHY }, [])), required: false },
      responses: answers("It is taken out; or, with `dry_run`, what would come of it.", {
        anyOf: [object({ name: TEXT, removed: { const: true } }), ref("BudgetTrial")],
      }),
    },
  },
  "/api/budgets/{name}/history": {
    get: {
      operationId: "getBudgetHistory",
      summary: "What the limits of a budget were charged, by the hour, all its balances together.",
      parameters: [name(), count("days", "How many days back.", 366, 31)],
      responses: answers("The limits.", list(ref("BudgetHistory"))),
    },
  },
  "/api/budgets/{name}/limit": {
    post: {
      operationId: "changeLimit",
      summary: "Writes another amount of a limit into the configuration file, which is taken over within seconds.",
      parameters: [name()],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: object(
              {
                limit: { type: "string", description: "As it is now: `$50 / month`." },
                to: { type: "string", description: "As it is to be, in the same unit and window." },
                why: WHY,
              },
              ["limit", "to"],
            ),
          },
        },
      },
      responses: answers("It is written.", ref("LimitChange")),
    },
  },
  "/api/budgets/{name}/what-if": {
    get: {
      operationId: "playBack",
      summary: "What another amount of one of its limits would have done with the calls of the last days.",
      parameters: [
        name(),
        { name: "limit", in: "query", required: true, description: "`$50 / month`", schema: { type: "string" } },
        count("days", "How many days back.", 31, 7),
      ],
      responses: answers("What would have been.", ref("WhatIf")),
    },
  },
  "/api/events": {
    get: {
      operationId: "listen",
      summary: "Server-sent events: `calls`, at most once a second, with the calls that began or ended since.",
      responses: {
        200: {
          description: "Events, until the client leaves.",
          content: { "text/event-stream": { schema: { type: "string" } } },
        },
        default: { $ref: "#/components/responses/Problem" },
      },
    },
  },
  "/api/prices": {
    get: {
      operationId: "listPrices",
      summary: "What the models of the configured providers cost now, and which were used in the last 90 days.",
      responses: answers("The prices.", ref("PriceList")),
    },
  },
  "/api/settings": {
    get: {
      operationId: "getSettings",
      summary: "How this gateway is configured now, without any secret.",
      responses: answers("The settings.", ref("Settings")),
    },
  },
  "/api/alerts": {
    get: {
      operationId: "listAlerts",
      summary: "What people were told, and who looks after it: the newest first.",
      parameters: [
        count("limit", "How many.", 1000, 100),
        {
          name: "state",
          in: "query",
          description: "Only those in this state.",
          schema: { enum: ["open", "acknowledged", "snoozed", "over"] },
        },
      ],
      responses: answers("The alerts.", list(ref("Alert"))),
    },
  },
  "/api/alerts/{id}/acknowledge": {
    post: {
      operationId: "acknowledgeAlert",
      summary: "Somebody looks after an alert: it is told to nobody else, and not again.",
      parameters: [alertId()],
      requestBody: { required: false, content: { "application/json": { schema: object({ by: WHO }, []) } } },
      responses: answers("It is acknowledged.", ref("Alert")),
    },
  },
  "/api/alerts/{id}/snooze": {
    post: {
      operationId: "snoozeAlert",
      summary: "Nobody is told of the same thing for a while; then it is told again, if nobody has acknowledged it.",
      parameters: [alertId()],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: object({ for: { type: "string", description: "`30m`, `2h`; 7 days at most." }, by: WHO }, ["for"]),
          },
        },
      },
      responses: answers("It is put off.", ref("Alert")),
    },
  },
  "/api/asks": {
    get: {
      operationId: "listAsks",
      summary: "More that is asked for and not answered yet, the newest first.",
      responses: answers("The asks.", list(ref("Ask"))),
    },
  },
  "/api/asks/{id}": {
    post: {
      operationId: "answerAsk",
      summary: "Gives what is asked for, or declines it. The calls that wait for it go on.",
      parameters: [{ name: "id", in: "path", required: true, description: "The id of the ask: ask_….", schema: { type: "string" } }],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: object({ answer: { enum: ["give", "decline"] }, giver: { type: "string", description: "Who does it." } }, ["answer"]),
          },
        },
      },
      responses: answers("It is answered.", {
        allOf: [ref("Ask"), { type: "object", required: ["answer"], properties: { answer: { enum: ["given", "declined"] } } }],
      }),
    },
  },
} as const;

const INSTANT = { type: "string", format: "date-time" } as const;
const INSTANT_OR_NOT = { type: ["string", "null"], format: "date-time" } as const;
const TEXT_OR_NOT = { type: ["string", "null"] } as const;
const INTEGER = { type: "integer" } as const;
const AMOUNTS = { calls: INTEGER, refusals: INTEGER, input_tokens: INTEGER, output_tokens: INTEGER, cost_nanodollars: INTEGER } as const;
const MINUTES = { type: "array", items: ref("Point"), description: "Those in which something was." } as const;

export const DASHBOARD_SCHEMAS = {
  Overview: object({
    at: INSTANT,
    time_zone: TEXT,
    is_complete: { type: "boolean", description: "Whether the sums are of the whole ledger yet." },
    today: ref("Period"),
    month: ref("Period"),
    month_expected_nanodollars: {
      type: ["integer", "null"],
      description: "What the month will have cost, if it goes on as the last seven days did; null until there was use for a day.",
    },
    hours: { type: "array", items: ref("Point"), description: "The last 48, without those in which nothing was." },
    days: { type: "array", items: ref("Point"), description: "The last 90, without those in which nothing was." },
    top: { type: "array", items: ref("Top") },
  }),
  Amounts: object(AMOUNTS),
  Period: object({
    from: INSTANT,
    to: INSTANT,
    ...AMOUNTS,
    before: { ...ref("Amounts"), description: "The period before, up to the same hour." },
    before_whole: ref("Amounts"),
  }),
  Point: object({ from: INSTANT, ...AMOUNTS }),
  Top: object({
    by: TEXT,
    rows: { type: "array", items: object({ value: TEXT_OR_NOT, share: { type: "number" }, ...AMOUNTS }) },
    values: { type: "integer", description: "How many values there are." },
    half: { type: "integer", description: "How many of them, the dearest first, make half of the cost." },
  }),
  Minutes: object({
    at: INSTANT,
    since: { ...INSTANT, description: "Where the first of the 60 minutes begins." },
    by: { enum: MINUTES_BY },
    is_complete: { type: "boolean", description: "Whether all of the hour is in it: after a start it is read back when somebody looks." },
    data: {
      type: "array",
      description: "The values of which most was used, the dearest first.",
      items: object({ value: TEXT_OR_NOT, ...AMOUNTS, minutes: MINUTES }),
    },
    others: {
      anyOf: [object({ ...AMOUNTS, minutes: MINUTES }), { type: "null" }],
      description: "What all other values used together; null where there are none.",
    },
  }),
  Person: object({
    name: TEXT,
    role: ROLE,
    attributes: ATTRIBUTES,
    configured: { type: "boolean", description: "Whether they stand in purser.yaml, where they are changed." },
  }),
  Budget: object({
    name: TEXT,
    parent: { type: ["string", "null"], description: "The narrowest budget that all its calls are charged to as well." },
    sentence: { type: "string", description: "The whole budget in words." },
    for: { type: "object", description: "Attribute and values, as the configuration has them." },
    per: { type: "array", items: TEXT },
    owner: { ...TEXT_OR_NOT, description: "Its own, or that of the budget that it is a part of." },
    owner_from: { ...TEXT_OR_NOT, description: "The budget whose owner it is, where this one says none." },
    cost_center: { ...TEXT_OR_NOT, description: "Where its calls are booked." },
    mode: MODE,
    observes_until: OBSERVES_UNTIL,
    time_zone: TEXT,
    limits: {
      type: "array",
      items: object({ text: TEXT, unit: TEXT, weights: WEIGHTS, window: TEXT, amount: INTEGER }, ["text", "unit", "window", "amount"]),
    },
    ladder: {
      type: "array",
      items: object({
        text: { type: "string", description: "As it is written: `85% of $ / month`, `$20 left`." },
        at: { type: "number", description: "The share from which on it holds, from 0 to 1, of the limit as the budget has it." },
        spent: {
          type: ["integer", "null"],
          description: "The amount that is spent or held from which on it holds, where it says that and no share.",
        },
        left: {
          type: ["integer", "null"],
          description: "The amount that is left when it begins to hold, where it says that and no share.",
        },
        of: { type: ["string", "null"], description: "What it is a share of, where its step says that: `$ / month`." },
        measures: { type: "array", items: object({ unit: TEXT, window: TEXT }), description: "The limits of which the fullest counts." },
        rungs: { type: "array", items: TEXT },
      }),
    },
    balances: { type: "array", items: ref("Outlook"), description: "Those of which most is used." },
    balances_total: INTEGER,
  }),
  Outlook: {
    description: "A balance, and where it leads.",
    type: "object",
    required: ["budget", "subject", "unit", "window", "limit", "spent", "held", "left", "resets_at", "starts_at", "expected", "gone_at"],
    properties: {
      budget: TEXT,
      subject: TEXT,
      unit: TEXT,
      weights: WEIGHTS,
      window: TEXT,
      limit: INTEGER,
      spent: INTEGER,
      held: INTEGER,
      left: INTEGER,
      resets_at: INSTANT_OR_NOT,
      observes_until: { ...OBSERVES_UNTIL, description: "Only of a budget that observes." },
      starts_at: INSTANT_OR_NOT,
      expected: {
        type: ["integer", "null"],
        description: "What will be spent when it resets; null where it never does, or is too early to say.",
      },
      gone_at: {
        ...INSTANT_OR_NOT,
        description: "When nothing is left, if that is before it resets; null where less than 1 % is left, or it is too early to say.",
      },
    },
  },
  BudgetHistory: object({ unit: TEXT, window: TEXT, hours: { type: "array", items: object({ from: INSTANT, spent: INTEGER }) } }),
  WhatIf: object({
    budget: TEXT,
    limit: TEXT,
    since: INSTANT,
    until: INSTANT,
    calls: INTEGER,
    used: { type: "integer", description: "In the unit of the limit." },
    refused_calls: INTEGER,
    refused: INTEGER,
    first_refused_at: INSTANT_OR_NOT,
    subjects: { type: "integer", description: "How many balances there were." },
    subjects_refused: INTEGER,
  }),
  PriceList: object({
    data: {
      type: "array",
      items: object({
        provider: TEXT,
        model: TEXT,
        source: TEXT,
        prices: { type: "array", items: object({ what: TEXT, price: TEXT, aboveInputTokens: INTEGER }, ["what", "price"]) },
      }),
    },
    used: { type: "array", items: object({ model: TEXT, calls: INTEGER, unpriced_calls: INTEGER, cost_nanodollars: INTEGER }) },
  }),
  Settings: object({
    file: { ...TEXT_OR_NOT, description: "The configuration file; null where everything is a default." },
    data_dir: TEXT,
    node: TEXT,
    started_at: INSTANT,
    time_zone: TEXT,
    server: object({ host: TEXT, port: INTEGER, public_url: TEXT_OR_NOT, max_body_bytes: INTEGER, drain_ms: INTEGER }),
    store: object({
      balances: { enum: ["data folder", "redis"] },
      namespace: { ...TEXT_OR_NOT, description: "Whose balances these are, where several gateways share them." },
      leases: { type: "boolean", description: "Whether it decides from allotments." },
      ledger: { enum: ["data folder", "redis", "postgres"], description: "Where the ledger is kept for good." },
    }),
    providers: {
      type: "array",
      items: object({
        name: TEXT,
        urls: { type: "array", items: TEXT },
        formats: { type: "array", items: TEXT },
        has_key: { type: "boolean" },
        problem: { ...TEXT_OR_NOT, description: "What is missing for calls to reach it." },
        timeout_ms: INTEGER,
      }),
    },
    routes: {
      type: "array",
      items: object({ pattern: TEXT, providers: { type: "array", items: TEXT }, attempts: INTEGER }),
      description: "Before the providers' own patterns; of several providers the first choice first.",
    },
    calls: object({
      default_max_output: INTEGER,
      unseen_input: { type: ["integer", "null"], description: "null: what the model can read." },
      on_disconnect: { enum: ["abort", "drain"] },
      shows_cost: { type: "boolean" },
      shows_left: { type: "boolean" },
      shows_owner: { type: "boolean" },
    }),
  }),
  Alert: object({
    id: TEXT,
    kind: { enum: ALERT_KINDS },
    severity: { enum: ["info", "warning", "error", "critical"] },
    title: TEXT,
    text: TEXT,
    owner: TEXT_OR_NOT,
    at: INSTANT,
    channels: { type: "array", items: TEXT, description: "Where it was told." },
    state: { enum: ["open", "acknowledged", "snoozed", "over"], description: "over: its window has ended." },
    by: { ...TEXT_OR_NOT, description: "Who acknowledged it, or put it off; null: nobody did." },
    answered_at: INSTANT_OR_NOT,
    snoozed_until: INSTANT_OR_NOT,
  }),
  Trial: object({
    budget: TEXT,
    owner: TEXT_OR_NOT,
    mode: MODE,
    observes_until: OBSERVES_UNTIL,
    ended_at: { ...INSTANT_OR_NOT, description: "When a trial with an end has ended; null before, and where it has none." },
    first_at: { ...INSTANT_OR_NOT, description: "The first day on which calls were made that it would have refused, of the last 90." },
    last_at: INSTANT_OR_NOT,
    would_refuse_calls: INTEGER,
    would_refuse_nanodollars: { type: "integer", description: "What those calls were charged." },
    whose: {
      type: "array",
      items: object({
        whose: { type: "string", description: "A balance, or who called: `user=ann`; empty where nobody said." },
        calls: INTEGER,
        cost_nanodollars: INTEGER,
      }),
      description: "Of whom most would have been refused first, a hundred at most.",
    },
    whose_total: INTEGER,
    needs: {
      type: "array",
      items: object({
        limit: TEXT,
        unit: TEXT,
        amount: { type: ["integer", "null"], description: "Null where it was not seen for long enough." },
        rests_on: TEXT,
      }),
      description: "What limits by the day or longer need, of budgets with one balance, as `purser recommend` reckons it.",
    },
  }),
  Adjustment: object({
    budget: TEXT,
    unit: TEXT,
    window: TEXT,
    mode: { enum: ["apply", "propose"] },
    every: { type: "string", description: "It is looked at as each of these ends." },
    configured: { type: "integer", description: "What the configuration says, in the unit of the limit." },
    amount: { type: "integer", description: "What holds, grants of people aside." },
    least: INTEGER,
    most: INTEGER,
    decided: {
      ...object(decided()),
      type: ["object", "null"],
      description: "What was decided for the period that runs; null where nothing was.",
    },
    next_at: { ...INSTANT, description: "When it is looked at next." },
    next: {
      ...object({ amount: INTEGER, why: TEXT }),
      type: ["object", "null"],
      description: "What it would be then, with what is known now; null where what was used is not added up yet.",
    },
  }),
  CallAdjustment: object({
    budget: TEXT,
    unit: TEXT,
    window: TEXT,
    configured: { type: "integer", description: "What the configuration says, in the unit of the limit." },
    ...decided(),
  }),
  LimitChange: object({ budget: TEXT, limit: TEXT, to: TEXT }),
  BudgetItem: { ...BUDGET_SCHEMA, description: "A budget as purser.yaml has it." },
  WrittenBudget: object({ name: TEXT, budget: ref("BudgetItem"), version: VERSION }),
  BudgetChange: object({
    name: TEXT,
    budget: ref("BudgetItem"),
    version: VERSION,
    sentence: { type: "string", description: "The whole budget in words." },
    warnings: { type: "array", items: ref("FieldProblem") },
  }),
  BudgetTrial: object({
    name: TEXT,
    sentence: {
      ...TEXT_OR_NOT,
      description: "The budget in words, as it would be, or the one that would go; null where something is wrong with it.",
    },
    problems: { type: "array", items: ref("FieldProblem") },
    warnings: { type: "array", items: ref("FieldProblem") },
  }),
  FieldProblem: object({
    field: { type: "string", description: "`limits[1]`; empty where it is about all of the budget." },
    message: TEXT,
  }),
  Ask: object({ id: TEXT, budget: TEXT, subject: TEXT, more: TEXT, until: INSTANT, expires_at: INSTANT }),
} as const;

function object(properties: Readonly<Record<string, object>>, required: readonly string[] = Object.keys(properties)) {
  return { type: "object", additionalProperties: false, required, properties };
}

/** What a rule decided for a time. */
function decided() {
  return {
    grant: { type: "string", description: "The id of the grant that makes the difference: revoking it ends the decision." },
    before: INTEGER,
    amount: INTEGER,
    why: TEXT,
    from: INSTANT,
    until: INSTANT,
  };
}

function body(schema: object) {
  return { required: true, content: { "application/json": { schema } } };
}

function dryRun() {
  return { name: "dry_run", in: "query", description: "Writes nothing, and says what would come of it.", schema: { type: "boolean" } };
}

/** `POST` on the path of all budgets, which the balances are asked for by. */
export const NEW_BUDGET = {
  operationId: "createBudget",
  summary: "Writes a new budget into the configuration file, which is taken over within seconds.",
  parameters: [dryRun()],
  requestBody: body(object({ budget: ref("BudgetItem"), why: WHY }, ["budget"])),
  responses: {
    201: answers("It is written.", ref("BudgetChange"))[200],
    ...answers("With `dry_run`: what would come of it.", ref("BudgetTrial")),
  },
};

function ref(schema: string) {
  return { $ref: `#/components/schemas/${schema}` };
}

function list(items: object) {
  return object({ data: { type: "array", items } });
}

function answers(description: string, schema: object) {
  return { 200: { description, content: { "application/json": { schema } } }, default: { $ref: "#/components/responses/Problem" } };
}

function withPassword() {
  return { allOf: [ref("Person"), { type: "object", required: ["password"], properties: { password: TEXT } }] };
}

function personName() {
  return { name: "name", in: "path", required: true, description: "The name that they sign in by.", schema: { type: "string" } };
}

function alertId() {
  return { name: "id", in: "path", required: true, description: "The id of the alert: alert_….", schema: { type: "string" } };
}

function name() {
  return { name: "name", in: "path", required: true, description: "The name of the budget.", schema: { type: "string" } };
}

function count(parameter: string, description: string, maximum: number, otherwise: number) {
  return { name: parameter, in: "query", description, schema: { type: "integer", minimum: 1, maximum, default: otherwise } };
}
