import { CHANNEL_KINDS } from "../alerts/channel.ts";
import { KEY_ROLES } from "../callers/key.ts";
import { COMMITTED_PERIODS } from "../commitments/commitment.ts";
import { CALL_OUTCOMES } from "./call-report.ts";
import { DASHBOARD_PATHS, DASHBOARD_SCHEMAS, NEW_BUDGET, OBSERVES_UNTIL, WEIGHTS } from "./openapi-dashboard.ts";
import { HANDOVER_PATHS, HANDOVER_SCHEMAS } from "./openapi-handovers.ts";
import { SAVING_KINDS } from "./reports/saved.ts";

/** The admin API in OpenAPI 3.1, served at `/api/openapi.json`. */
export const OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "Purser admin API",
    version: "1",
    description: "Budgets, calls and keys of one gateway. While no key exists and the gateway listens on loopback only, it is open.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  security: [{ bearer: [] }],
  paths: {
    ...DASHBOARD_PATHS,
    ...HANDOVER_PATHS,
    "/api/budgets": {
      get: {
        operationId: "listBudgets",
        summary: "Every balance as it stands: one for each limit, and for each subject that used it in its window.",
        parameters: [
          { name: "budget", in: "query", description: "Only the budget of this name.", schema: { type: "string" } },
          {
            name: "most",
            in: "query",
            description: "Only so many, those of which most is used, and in `total` how many there are.",
            schema: { type: "integer", minimum: 1, maximum: 1000 },
          },
          { name: "owners", in: "query", description: "With whom each belongs to.", schema: { type: "boolean", default: false } },
        ],
        responses: { 200: json("The balances.", list("Balance")), default: ref("responses", "Problem") },
      },
      post: NEW_BUDGET,
    },
    "/api/allowances": {
      get: {
        operationId: "listAllowances",
        summary: "What is left of the tokens that providers give away.",
        responses: { 200: json("Every allowance as it stands.", list("Allowance")), default: ref("responses", "Problem") },
      },
    },
    "/api/commitments": {
      get: {
        operationId: "listCommitments",
        summary: "How much of what was promised to providers is used, and what will be paid for nothing.",
        responses: { 200: json("Every commitment as it stands.", list("Commitment")), default: ref("responses", "Problem") },
      },
    },
    "/api/commitments/advice": {
      get: {
        operationId: "adviseCommitments",
        summary: "What might be committed to at each provider, by what was used there, and what offers would have come to.",
        parameters: [
          reportParameter("since", "As for a report; 90 days ago where it is left out."),
          reportParameter("until", "As for a report."),
          repeated("provider", "Only this provider; `*` stands for anything."),
          repeated("model", "Only this model, likewise."),
          reportParameter("discount", "What a provider would take off all prices: `12%`."),
          repeated("offer", "An offer to compare: `$10,000 / month for 12%`, or `100k tokens / minute for $2 / hour`."),
        ],
        responses: {
          200: json("The providers, those first where most was spent.", ref("schemas", "CommitmentAdvice")),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/commitments/billed": {
      get: {
        operationId: "listCommittedBills",
        summary: "What commitments make of what providers bill, day by day of UTC, for comparing it with the ledger.",
        parameters: [reportParameter("since", "As for a report; whole days of UTC."), reportParameter("until", "As for a report.")],
        responses: { 200: json("Every commitment that is in force then.", list("CommittedBill")), default: ref("responses", "Problem") },
      },
    },
    "/api/budgets/{name}/reset": {
      post: {
        operationId: "resetBudget",
        summary: "Lets a balance begin again at nothing. Calls in flight keep what they hold, and every charge stays in the ledger.",
        parameters: [{ name: "name", in: "path", required: true, description: "The name of the budget.", schema: { type: "string" } }],
        requestBody: body("Reset"),
        responses: { 200: json("The balances as they stand now.", list("Balance")), default: ref("responses", "Problem") },
      },
    },
    "/api/grants": {
      get: {
        operationId: "listGrants",
        summary: "The grants that are in force or will be, oldest first.",
        parameters: [{ name: "budget", in: "query", description: "Only those of this budget.", schema: { type: "string" } }],
        responses: { 200: json("The grants.", list("Grant")), default: ref("responses", "Problem") },
      },
      post: {
        operationId: "createGrant",
        summary: "Gives a subject more of a limit for a time. It ends by itself.",
        parameters: [
          {
            name: "Idempotency-Key",
            in: "header",
            description: "Sent again, it gives nothing more, and the answer is the grant that was given.",
            schema: { type: "string" },
          },
        ],
        requestBody: body("NewGrant"),
        responses: { 201: json("The grant.", ref("schemas", "Grant")), default: ref("responses", "Problem") },
      },
    },
    "/api/grants/{id}": {
      delete: {
        operationId: "revokeGrant",
        summary: "Ends a grant at once.",
        parameters: [id("The id of the grant: grant_….")],
        requestBody: {
          content: { "application/json": { schema: { type: "object", additionalProperties: false, properties: giverProperties() } } },
        },
        responses: {
          200: json("It is revoked.", {
            type: "object",
            required: ["id", "revoked"],
            properties: { id: { type: "string" }, revoked: { const: true } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/requests": {
      get: {
        operationId: "listRequests",
        summary: "The newest calls, allowed and denied.",
        parameters: [
          { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 100, default: 20 } },
          {
            name: "after_id",
            in: "query",
            description: "The last id of the page before: the calls older than it follow.",
            schema: { type: "string" },
          },
          {
            ...reportParameter(
              "filter",
              "`ATTRIBUTE=VALUE`, as in a report. A page of few calls among very many may have less than asked for.",
            ),
            schema: { type: "array", items: { type: "string" } },
            explode: true,
          },
          {
            name: "outcome",
            in: "query",
            description:
              "Only these; `denied` includes those whose callers got a ready text, and `allowed` those that got an answer which was known.",
            schema: { enum: ["denied", "allowed"] },
          },
        ],
        responses: {
          200: json("A page, newest first.", {
            type: "object",
            required: ["data", "has_more", "last_id"],
            properties: {
              data: { type: "array", items: ref("schemas", "CallSummary") },
              has_more: { type: "boolean" },
              last_id: { type: ["string", "null"] },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/requests/{id}": {
      get: {
        operationId: "getRequest",
        summary: "Why one call was allowed or denied, what it was charged, and the ledger rows behind both.",
        parameters: [id("The answer's x-purser-request-id.")],
        responses: { 200: json("The call.", ref("schemas", "CallReport")), default: ref("responses", "Problem") },
      },
    },
    "/api/report": {
      get: {
        operationId: "report",
        summary: "Usage and cost of a time, by attributes and by steps of the calendar.",
        parameters: [
          reportParameter(
            "since",
            "A day, a month or an instant: `2026-11-01`, `2026-11`, `2026-11-01T08:00:00Z`. This month where it is left out.",
          ),
          reportParameter("until", "The same; up to, not including. Now where it is left out."),
          reportParameter("by", "One row for each of these attributes: `team,model`, `tag.customer`."),
          { name: "step", in: "query", description: "One row for each of these as well.", schema: { enum: ["hour", "day", "month"] } },
          reportParameter("time_zone", "Whose days and months; the configuration's where it is left out."),
          {
            ...reportParameter("filter", "`ATTRIBUTE=VALUE`, with `*` for anything. All attributes hold, and any of the values of one."),
            schema: { type: "array", items: { type: "string" } },
            explode: true,
          },
          {
            name: "compare",
            in: "query",
            description: "Each row beside that of the period before, in `before`.",
            schema: { const: "before" },
          },
          {
            name: "format",
            in: "query",
            description: "`csv`: a table. `focus`: FOCUS 1.2 as CSV, by provider, model and `by`, of which the first is the sub-account.",
            schema: { enum: ["json", "csv", "focus"], default: "json" },
          },
        ],
        responses: {
          200: json("The rows by time, then by value.", {
            type: "object",
            required: ["since", "until", "by", "step", "time_zone", "data"],
            properties: {
              compared: {
                type: "object",
                description: "The period before, where it was asked for.",
                properties: { since: { type: "string", format: "date-time" }, until: { type: "string", format: "date-time" } },
              },
              since: { type: "string", format: "date-time" },
              until: { type: "string", format: "date-time" },
              by: { type: "array", items: { type: "string" } },
              step: { enum: ["hour", "day", "month", null] },
              time_zone: { type: "string" },
              data: { type: "array", items: ref("schemas", "ReportRow") },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/statements": {
      get: {
        operationId: "statements",
        summary: "What each team (product, customer, …) is charged for a month, with its owner. Together they are all that was charged.",
        parameters: [
          reportParameter("month", "`2026-11`; this month where it is left out."),
          reportParameter("by", "Whose statements: `team` where it is left out, any attribute, `tag.NAME`, `cost_center` or `owner`."),
          reportParameter("time_zone", "Whose months; the configuration's where it is left out."),
          {
            name: "format",
            in: "query",
            description: "`html` is a page that prints well.",
            schema: { enum: ["json", "csv", "html"], default: "json" },
          },
        ],
        responses: {
          200: json("The statements, the dearest first.", {
            type: "object",
            required: ["month", "since", "until", "is_final", "time_zone", "by", "total", "before", "data"],
            properties: {
              month: { type: "string" },
              since: { type: "string", format: "date-time" },
              until: { type: "string", format: "date-time" },
              is_final: { type: "boolean", description: "Whether the month is over." },
              time_zone: { type: "string" },
              by: { type: "string" },
              total: ref("schemas", "ReportAmounts"),
              before: ref("schemas", "ReportAmounts"),
              data: { type: "array", items: ref("schemas", "Statement") },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/spenders": {
      get: {
        operationId: "listSpenders",
        summary: "Who spends most, and how much of the whole that is.",
        parameters: [
          reportParameter("by", "`user` where it is left out, any attribute, `tag.NAME`, `cost_center` or `owner`."),
          { name: "most", in: "query", schema: { type: "integer", minimum: 1, maximum: 1000, default: 10 } },
          reportParameter("since", "As for a report."),
          reportParameter("until", "As for a report."),
          reportParameter("time_zone", "As for a report."),
          { ...reportParameter("filter", "As for a report."), schema: { type: "array", items: { type: "string" } }, explode: true },
        ],
        responses: {
          200: json("The dearest first.", {
            type: "object",
            required: ["since", "until", "time_zone", "by", "spenders", "total", "data", "concentration"],
            properties: {
              since: { type: "string", format: "date-time" },
              until: { type: "string", format: "date-time" },
              time_zone: { type: "string" },
              by: { type: "string" },
              spenders: amount("How many there are in all."),
              total: ref("schemas", "ReportAmounts"),
              data: {
                type: "array",
                items: {
                  allOf: [
                    ref("schemas", "ReportAmounts"),
                    { type: "object", properties: { value: { type: ["string", "null"] }, share: { type: "number" } } },
                  ],
                },
              },
              concentration: {
                type: "array",
                description: "How much the dearest few in a hundred use.",
                items: { type: "object", properties: { percent: { type: "integer" }, spenders: amount(), share: { type: "number" } } },
              },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/waste": {
      get: {
        operationId: "showWaste",
        summary: "How much of the input was sent again and what that cost, how long answers are, and what could be saved.",
        parameters: [
          reportParameter("by", "`session` where it is left out, any attributes, or `tag.NAME`; several with commas."),
          { name: "most", in: "query", schema: { type: "integer", minimum: 1, maximum: 1000, default: 10 } },
          reportParameter("since", "As for a report."),
          reportParameter("until", "As for a report."),
          reportParameter("time_zone", "As for a report."),
          { ...reportParameter("filter", "As for a report."), schema: { type: "array", items: { type: "string" } }, explode: true },
        ],
        responses: {
          200: json("Those first that paid most for what they sent again.", ref("schemas", "Waste")),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/savings": {
      get: {
        operationId: "showSavings",
        summary: "What ladders have saved, by budget and rung, and how that was reckoned.",
        parameters: [
          reportParameter("budget", "Only what the ladder of this budget did."),
          reportParameter("since", "As for a report."),
          reportParameter("until", "As for a report."),
          reportParameter("time_zone", "As for a report."),
        ],
        responses: {
          200: json("Those first that saved most.", ref("schemas", "Savings")),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/economics": {
      post: {
        operationId: "economics",
        summary: "What a call, a user and a session cost; against revenue, and what an amount pays for. Changes nothing.",
        requestBody: body("EconomicsQuestion"),
        responses: { 200: json("Money is rounded to nano-dollars.", ref("schemas", "Economics")), default: ref("responses", "Problem") },
      },
    },
    "/api/key-names": {
      get: {
        operationId: "listKeyNames",
        summary: "What keys are called, those that were revoked too: reports have their ids.",
        responses: {
          200: json("Their names.", {
            type: "object",
            required: ["data"],
            properties: {
              data: {
                type: "array",
                items: {
                  type: "object",
                  additionalProperties: false,
                  required: ["id", "name", "revoked"],
                  properties: { id: { type: "string" }, name: { type: "string" }, revoked: { type: "boolean" } },
                },
              },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/keys": {
      get: {
        operationId: "listKeys",
        summary: "Every key, without its secret.",
        responses: { 200: json("The keys.", list("Key")), default: ref("responses", "Problem") },
      },
      post: {
        operationId: "createKey",
        summary: "Makes a key. Its secret is in this answer and never again.",
        requestBody: { required: true, content: { "application/json": { schema: ref("schemas", "NewKey") } } },
        responses: {
          201: json("The key and its secret.", {
            allOf: [ref("schemas", "Key"), { type: "object", required: ["secret"], properties: { secret: { type: "string" } } }],
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/keys/{id}": {
      delete: {
        operationId: "revokeKey",
        summary: "Ends a key at once.",
        parameters: [id("The id of the key: key_….")],
        responses: {
          200: json("It is revoked.", {
            type: "object",
            required: ["id", "revoked"],
            properties: { id: { type: "string" }, revoked: { const: true } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/switches": {
      get: {
        operationId: "listSwitches",
        summary: "What is switched off, by whom, why and until when.",
        parameters: [
          { name: "all", in: "query", description: "`true`: those too that are over, as they happened.", schema: { const: "true" } },
        ],
        responses: { 200: json("The switches, oldest first.", list("Switch")), default: ref("responses", "Problem") },
      },
      post: {
        operationId: "switchOff",
        summary: "Refuses calls from now on and ends their running streams within a second.",
        requestBody: body("NewSwitch"),
        responses: { 201: json("It is switched off.", ref("schemas", "Switch")), default: ref("responses", "Problem") },
      },
    },
    "/api/switches/{id}": {
      delete: {
        operationId: "switchOn",
        summary: "Lets calls pass again.",
        parameters: [
          id("The id of the switch: sw_…."),
          { name: "why", in: "query", schema: { type: "string" } },
          { name: "by", in: "query", description: "Who does it.", schema: { type: "string" } },
        ],
        responses: { 200: json("It is switched on.", ref("schemas", "Switch")), default: ref("responses", "Problem") },
      },
    },
    "/api/guards": {
      get: {
        operationId: "listGuards",
        summary: "Which guards stand against calls now, against whose, since when, until when and why.",
        responses: { 200: json("The latest first, at most 1,000.", list("Guard")), default: ref("responses", "Problem") },
      },
    },
    "/api/guards/{id}": {
      delete: {
        operationId: "endGuard",
        summary: "Lets calls pass before the time. The guard trips again only if they go on as before.",
        parameters: [
          id("The id of what stands: trip_…."),
          { name: "why", in: "query", schema: { type: "string" } },
          { name: "by", in: "query", description: "Who does it.", schema: { type: "string" } },
        ],
        responses: { 200: json("It let go.", ref("schemas", "Guard")), default: ref("responses", "Problem") },
      },
    },
    "/api/queue": {
      get: {
        operationId: "listQueue",
        summary:
          "Calls that wait for their budgets, the next one first, and those that have ended and were not fetched. Without texts and answers.",
        responses: {
          200: json("At most 1,000, and how many there are.", {
            type: "object",
            required: ["data", "total"],
            properties: { data: { type: "array", items: ref("schemas", "WaitingCall") }, total: { type: "integer" } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/queue/{id}": {
      delete: {
        operationId: "callOffQueued",
        summary: "Calls off a call that waits: whoever comes for its answer is told why. Of one that has ended, deletes the answer.",
        parameters: [
          id("The id of the call: queued_…."),
          { name: "why", in: "query", schema: { type: "string" } },
          { name: "by", in: "query", description: "Who does it.", schema: { type: "string" } },
        ],
        responses: { 200: json("How it stands.", ref("schemas", "WaitingCall")), default: ref("responses", "Problem") },
      },
    },
    "/api/queue/{id}/run": {
      post: {
        operationId: "runQueued",
        summary: "Lets a call that waits ask its budget now.",
        parameters: [
          id("The id of the call: queued_…."),
          { name: "why", in: "query", schema: { type: "string" } },
          { name: "by", in: "query", description: "Who does it.", schema: { type: "string" } },
        ],
        responses: { 200: json("How it stands.", ref("schemas", "WaitingCall")), default: ref("responses", "Problem") },
      },
    },
    "/api/channels": {
      get: {
        operationId: "listChannels",
        summary: "Where people are told, and whether it worked. Without addresses and keys: those are secrets.",
        responses: { 200: json("The channels.", list("Channel")), default: ref("responses", "Problem") },
      },
    },
    "/api/channels/{id}/test": {
      post: {
        operationId: "testChannel",
        summary: "Delivers a notice that says that it is a test.",
        parameters: [id("The name of the channel.")],
        responses: { 200: json("How that ended.", ref("schemas", "Delivery")), default: ref("responses", "Problem") },
      },
    },
    "/api/audit": {
      get: {
        operationId: "listDeeds",
        summary: "Who changed what, who was not let in: the newest lines of the audit log of this data folder.",
        parameters: [
          { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 } },
          { name: "before", in: "query", description: "Only lines before this number.", schema: { type: "integer" } },
          {
            name: "about",
            in: "query",
            description: "`people`: who signed in and out or was not let in, and who was made, changed or removed by whom.",
            schema: { const: "people" },
          },
        ],
        responses: {
          200: json("Newest first.", {
            type: "object",
            required: ["data", "has_more"],
            properties: { data: { type: "array", items: ref("schemas", "Deed") }, has_more: { type: "boolean" } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/deliveries": {
      get: {
        operationId: "listDeliveries",
        summary: "The latest tries to deliver notices, oldest first.",
        responses: { 200: json("The tries.", list("Delivery")), default: ref("responses", "Problem") },
      },
    },
    "/api/decisions": {
      post: {
        operationId: "reserveCall",
        summary: "Holds the most that a call can use on every budget that it belongs to, or says why not: for calls that others send.",
        parameters: [
          { name: "Idempotency-Key", in: "header", description: "The id, where the body has none.", schema: { type: "string" } },
        ],
        requestBody: body("AskedCall"),
        responses: { 200: json("It may be sent.", ref("schemas", "Decision")), default: ref("responses", "Refusal") },
      },
    },
    "/api/decisions/{id}/settle": {
      post: {
        operationId: "settleCall",
        summary:
          "Replaces the hold by what the call used. Said late, it corrects what was charged when the lease ran out; said twice, it is charged once.",
        parameters: [id("The id of the decision.")],
        requestBody: body("ReportedUsage"),
        responses: {
          200: json("What the call is charged.", {
            type: "object",
            required: ["id", "outcome", "usage", "cost_nanodollars", "certainty"],
            properties: {
              id: { type: "string" },
              outcome: { enum: ["settled", "released", "corrected", "duplicate"] },
              usage: { type: ["object", "null"] },
              cost_nanodollars: { type: ["integer", "null"] },
              certainty: { enum: ["confirmed", "estimated", "unconfirmed", null] },
            },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/decisions/{id}/release": {
      post: {
        operationId: "releaseCall",
        summary: "Returns the hold of a call that was never sent, or that costs nothing.",
        parameters: [id("The id of the decision.")],
        requestBody: {
          content: {
            "application/json": {
              schema: { type: "object", additionalProperties: false, properties: { why: { type: "string", maxLength: 256 } } },
            },
          },
        },
        responses: {
          200: json("It is returned.", {
            type: "object",
            required: ["id", "outcome"],
            properties: { id: { type: "string" }, outcome: { enum: ["released", "corrected", "duplicate"] } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/decisions/{id}/extend": {
      post: {
        operationId: "extendCall",
        summary: "Renews the lease of a call that is still in flight.",
        parameters: [id("The id of the decision.")],
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                additionalProperties: false,
                required: ["lease_seconds"],
                properties: { lease_seconds: leaseSeconds() },
              },
            },
          },
        },
        responses: {
          200: json("It is renewed.", {
            type: "object",
            required: ["id", "outcome", "expires_at"],
            properties: { id: { type: "string" }, outcome: { const: "extended" }, expires_at: { type: "string", format: "date-time" } },
          }),
          default: ref("responses", "Problem"),
        },
      },
    },
    "/api/authorize": { get: authorization("authorizeCall"), post: authorization("authorizeCallByPost") },
    "/api/openapi.json": {
      get: {
        operationId: "getOpenapi",
        summary: "This description.",
        responses: { 200: json("OpenAPI 3.1.", { type: "object" }) },
      },
    },
  },
  components: {
    securitySchemes: {
      bearer: {
        type: "http",
        scheme: "bearer",
        description: "A key with the role admin, or the token in `admin.token` of the data folder.",
      },
    },
    responses: {
      Problem: {
        description: "What went wrong and what to do.",
        content: { "application/problem+json": { schema: ref("schemas", "Problem") } },
      },
      Refusal: {
        description: "Why the call may not be sent: 402, 429, 413, 400 or 503, with the headers that the gateway's own refusals have.",
        content: { "application/problem+json": { schema: ref("schemas", "Refusal") } },
      },
    },
    schemas: {
      ...DASHBOARD_SCHEMAS,
      ...HANDOVER_SCHEMAS,
      Balance: {
        type: "object",
        additionalProperties: false,
        required: ["budget", "subject", "unit", "window", "limit", "spent", "held", "left", "resets_at"],
        properties: {
          ...counterProperties(),
          weights: WEIGHTS,
          ...standingProperties(),
          observes_until: {
            ...OBSERVES_UNTIL,
            description: "Only of a budget that observes: until when it refuses nothing; null where that has no end.",
          },
          owner: { type: ["string", "null"], description: "Who answers for the budget, where owners are asked for." },
          cost_center: { type: ["string", "null"], description: "Where its calls are booked, where owners are asked for." },
        },
      },
      Allowance: {
        type: "object",
        additionalProperties: false,
        required: [
          ...["allowance", "name", "providers", "models", "unit", "window", "limit", "spent", "held", "used", "left", "resets_at", "until"],
        ],
        properties: {
          allowance: { type: "string", description: "Its name." },
          name: { type: "string", description: "The same." },
          providers: strings("The providers whose calls use it up together, with `*` for anything."),
          models: strings("The models that it is for, likewise."),
          ...windowProperties(),
          ...standingProperties(),
          used: amount("What is spent and held."),
          until: { type: ["string", "null"], format: "date-time", description: "When it ends; nothing is left from then on." },
        },
      },
      Commitment: {
        type: "object",
        additionalProperties: false,
        required: [
          ...["name", "providers", "models", "unit", "amount", "period", "discount", "price", "from", "until", "state", "window"],
          ...["committed", "used", "unused", "left", "over", "ledger_nanodollars", "covered_nanodollars"],
          ...["cost_nanodollars", "unused_nanodollars", "expected"],
        ],
        properties: {
          name: { type: "string" },
          providers: strings("Names, in which `*` stands for anything."),
          models: strings("The models that count, likewise."),
          unit: { enum: ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests"] },
          weights: { type: "object", additionalProperties: { type: "number" }, description: "By how much kinds of tokens count." },
          amount: amount("How much is bought in each period."),
          period: { enum: COMMITTED_PERIODS },
          discount: { type: "number", description: "What is taken off the prices of the ledger, as a part of 1." },
          price: {
            type: ["object", "null"],
            required: ["nanodollars", "period"],
            properties: { nanodollars: amount(), period: { type: "string" } },
            description: "What capacity costs, used or not; null for money, which is its own price.",
          },
          from: { type: ["string", "null"], format: "date-time" },
          until: { type: ["string", "null"], format: "date-time", description: "When it ends." },
          state: { enum: ["not begun", "running", "over"] },
          window: {
            type: "object",
            required: ["from", "to"],
            properties: { from: { type: "string", format: "date-time" }, to: { type: "string", format: "date-time" } },
            description: "The window that runs; or the first, or the last one.",
          },
          committed: amount("How much is bought in the whole window, in `unit`: `used`, `unused` and `left` together."),
          used: amount("What of it is used, by prices less the discount."),
          unused: amount("What was not used in time."),
          left: amount("What can still be used."),
          over: amount("What was used beyond it."),
          ledger_nanodollars: amount("What the calls that count cost by the ledger."),
          covered_nanodollars: amount("The part of that which the commitment pays for."),
          cost_nanodollars: amount("What the commitment costs in the window, used or not."),
          unused_nanodollars: amount("The part of that which was paid for `unused`."),
          expected: {
            type: ["object", "null"],
            required: ["used", "unused", "unused_nanodollars"],
            properties: { used: amount(), unused: amount(), unused_nanodollars: amount() },
            description: "Where the window leads at this pace; null while it is too early to say, and where none runs.",
          },
        },
      },
      CommittedBill: {
        type: "object",
        additionalProperties: false,
        required: ["name", "kind", "providers", "less", "charges"],
        properties: {
          name: { type: "string" },
          kind: { enum: ["money", "capacity"] },
          providers: strings("Names, in which `*` stands for anything."),
          less: {
            type: "array",
            description: "By how much less is billed for the calls of a model than the ledger has.",
            items: {
              type: "object",
              additionalProperties: false,
              required: ["from", "to", "provider", "model", "nanodollars"],
              properties: {
                from: { type: "string", format: "date-time" },
                to: { type: "string", format: "date-time" },
                provider: { type: "string" },
                model: { type: "string" },
                nanodollars: amount(),
              },
            },
          },
          charges: {
            type: "array",
            description:
              "What is billed beside calls: capacity as it is bought, or money that was promised and not used, on the day on which it lapsed.",
            items: {
              type: "object",
              additionalProperties: false,
              required: ["from", "to", "nanodollars"],
              properties: {
                from: { type: "string", format: "date-time" },
                to: { type: "string", format: "date-time" },
                nanodollars: amount(),
              },
            },
          },
        },
      },
      CommitmentAdvice: {
        type: "object",
        required: ["since", "until", "data"],
        properties: {
          since: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time" },
          data: {
            type: "array",
            items: {
              type: "object",
              required: [
                ...["provider", "from", "to", "ledger_nanodollars", "monthly_nanodollars", "steady", "discount", "models", "offers"],
              ],
              properties: {
                provider: { type: "string" },
                from: { type: "string", format: "date-time", description: "The first call that was looked at." },
                to: { type: "string", format: "date-time" },
                ledger_nanodollars: amount("What calls cost by the ledger."),
                monthly_nanodollars: amount("The same for a month."),
                steady: {
                  type: ["object", "null"],
                  required: ["of", "count", "monthly_nanodollars", "pays_from_discount"],
                  properties: {
                    of: { enum: ["weeks", "days"] },
                    count: amount("How many of them were looked at."),
                    monthly_nanodollars: amount("What nine of ten of them came to at least, for a month."),
                    pays_from_discount: nullableShare("The least discount at which a commitment to it would have paid off."),
                  },
                  description: "null where less than two whole days are known.",
                },
                discount: {
                  type: ["object", "null"],
                  required: ["discount", "saved_nanodollars", "used_up_monthly_nanodollars", "pays_up_to_monthly_nanodollars"],
                  properties: {
                    discount: { type: "number" },
                    saved_nanodollars: amount("What it would have saved, where nothing is paid for nothing."),
                    used_up_monthly_nanodollars: amount("The most that would have been used up in each month."),
                    pays_up_to_monthly_nanodollars: amount("More than this would have cost more than it saved."),
                  },
                  description: "null where no discount was asked about.",
                },
                models: {
                  type: "array",
                  items: {
                    type: "object",
                    required: ["model", "steady_tokens_per_minute", "hourly_nanodollars"],
                    properties: {
                      model: { type: "string" },
                      steady_tokens_per_minute: amount("Used on average in nine of ten hours at least."),
                      hourly_nanodollars: amount("What so many cost in an hour by the ledger."),
                    },
                  },
                },
                offers: {
                  type: "array",
                  items: {
                    type: "object",
                    required: [
                      ...["offer", "ledger_nanodollars", "billed_nanodollars", "saved_nanodollars", "committed", "unused"],
                      ...["pays_from_discount", "pays_up_to_hourly_nanodollars"],
                    ],
                    properties: {
                      offer: { type: "string" },
                      ledger_nanodollars: amount("What the calls cost by the ledger."),
                      billed_nanodollars: amount("What would have been billed instead."),
                      saved_nanodollars: amount("The difference; below 0 where it would have cost more."),
                      committed: amount("How much would have been bought."),
                      unused: amount("How much of that would not have been used."),
                      pays_from_discount: nullableShare("Of money: the least discount at which it would have paid off."),
                      pays_up_to_hourly_nanodollars: {
                        type: ["integer", "null"],
                        description: "Of capacity: the most for an hour at which it would have paid off.",
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
      Grant: {
        type: "object",
        additionalProperties: false,
        required: ["id", "budget", "subject", "unit", "window", "amount", "from", "until", "giver", "why"],
        properties: {
          id: { type: "string" },
          ...counterProperties(),
          amount: amount("Added to the limit in each of its windows; below 0 where it is taken away."),
          from: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time", description: "From then on it does not hold any more." },
          giver: { type: "string" },
          why: { type: "string" },
        },
      },
      NewGrant: {
        type: "object",
        additionalProperties: false,
        required: ["budget", "amount", "until", "why"],
        properties: {
          budget: { type: "string" },
          amount: {
            type: "string",
            description: "Written like a limit. The window may be left out where the unit has one limit only.",
            examples: ["$20", "50k tokens / day"],
          },
          for: subjectOf("A value for each of the budget's per."),
          from: { type: "string", description: "A time, or a duration from now; now where it is left out." },
          until: {
            type: "string",
            description: "A day, which it includes, in the budget's time zone; a time; or a duration from its beginning.",
            examples: ["2026-12-31", "2026-12-31T18:00:00Z", "7d"],
          },
          ...giverProperties(),
        },
      },
      Reset: {
        type: "object",
        additionalProperties: false,
        required: ["why"],
        properties: {
          for: subjectOf("Whose balance: a value for each of the budget's per."),
          limit: { type: "string", description: "Which limit; all of the budget where it is left out.", examples: ["$50 / month"] },
          ...giverProperties(),
        },
      },
      CallBalance: {
        type: "object",
        required: ["budget", "subject", "unit", "window", "held", "spent"],
        properties: {
          ...counterProperties(),
          weights: WEIGHTS,
          held: amount("Held when the call was admitted."),
          spent: amount("Charged in the end."),
        },
      },
      CallSummary: {
        type: "object",
        required: ["id", "at", "outcome", "provider", "model", "subject", "usage", "cost_nanodollars", "certainty", "reason", "message"],
        properties: callProperties(),
      },
      CallReport: {
        type: "object",
        properties: {
          ...callProperties(),
          estimate: {
            type: "object",
            description: "The most the call could use.",
            properties: {
              input_tokens: amount(),
              output_tokens: amount(),
              cost_nanodollars: { type: ["integer", "null"] },
              counted: { type: "boolean", description: "false: the input is a bound by its size." },
            },
          },
          price: { type: ["string", "null"], description: "Where the price comes from." },
          arithmetic: {
            type: ["array", "null"],
            description: "The terms of the cost.",
            items: {
              type: "object",
              properties: { kind: { type: "string" }, tokens: { type: "integer" }, picodollars_per_token: { type: "integer" } },
            },
          },
          balances: { type: "array", items: ref("schemas", "CallBalance") },
          would_refuse: { type: "array", items: { type: "string" }, description: "Budgets in observe mode that would have refused it." },
          rungs: { type: "array", items: { type: "string" }, description: "What the ladders of its budgets did to it." },
          instead_of: {
            type: ["object", "null"],
            properties: { provider: { type: "string" }, model: { type: "string" } },
            description: "The model that was asked for, where a ladder chose another.",
          },
          saved_nanodollars: {
            type: ["integer", "null"],
            description: "What ladders saved of it, less what they spent for that, as far as it is known: the sum of `savings`.",
          },
          savings: {
            type: "array",
            description: "The same rung by rung.",
            items: {
              type: "object",
              required: ["budget", "rung", "left_out_tokens", "saved_nanodollars"],
              properties: {
                budget: { type: "string" },
                rung: { type: "string", description: "As it is written in the ladder: `use gpt-4o-mini`." },
                left_out_tokens: amount("Tokens of input that it left out, as counted here."),
                saved_nanodollars: {
                  type: ["integer", "null"],
                  description: "Below 0 where the call became dearer, or is one that the rung made itself; null where nobody can know.",
                },
              },
            },
          },
          known_answer: {
            type: ["object", "null"],
            description: "Where its answer is from, where that was known and no provider was asked.",
            required: ["rung", "from", "entry", "handover", "nearness", "times"],
            properties: {
              rung: { type: "string" },
              from: { type: ["string", "null"], description: "The call that a provider answered so." },
              entry: { type: ["string", "null"], description: "Where it stands in the configuration." },
              handover: { type: ["string", "null"], description: "The handover of its conversation, where a person goes on with that." },
              nearness: {
                type: ["number", "null"],
                description: "How near the question is to the one that was answered, from 0 to 1; null where it is the same.",
              },
              times: amount("How many calls that were answered so within a second its entry stands for."),
            },
          },
          adjusted: {
            type: "array",
            items: ref("schemas", "CallAdjustment"),
            description: "Limits that had another amount then than the configuration says, because they follow what is used of them.",
          },
          allowance: { type: ["string", "null"], description: "The free allowance that paid for it." },
          tried: {
            type: "array",
            items: { type: "string" },
            description: "Why it was not made at providers that come before its own in their route.",
          },
          attempts: {
            type: "array",
            description:
              "All attempts of its request, where there were several: each is held and charged by itself, under an id of its own.",
            items: {
              type: "object",
              required: ["id", "at", "outcome", "provider", "model", "cost_nanodollars", "certainty", "end", "held_nanodollars"],
              properties: {
                id: { type: "string" },
                at: { type: "string", format: "date-time" },
                outcome: { enum: CALL_OUTCOMES },
                provider: { type: ["string", "null"] },
                model: { type: ["string", "null"] },
                cost_nanodollars: { type: ["integer", "null"] },
                certainty: { type: ["string", "null"] },
                end: { type: ["string", "null"], description: "How it ended." },
                held_nanodollars: { type: ["integer", "null"], description: "What was held for it." },
              },
            },
          },
          cost_center: { type: ["string", "null"], description: "Where its cost is booked, as its budgets said when it was made." },
          owner: { type: ["string", "null"], description: "Who answers for it, as its budgets said when it was made." },
          batch: { type: ["string", "null"], description: "The request that made the batch which the call is part of." },
          entries: {
            type: "array",
            items: {
              type: "object",
              required: ["seq", "at", "kind", "postings"],
              properties: {
                seq: { type: "integer" },
                at: { type: "string", format: "date-time" },
                kind: {
                  enum: [
                    "reserved",
                    "extended",
                    "raised",
                    "settled",
                    "overrun",
                    "expired",
                    "corrected",
                    "released",
                    "denied",
                    "answered",
                    "adjusted",
                  ],
                },
                postings: { type: "array", items: ref("schemas", "CallBalance") },
                why: { type: "string" },
                expires_at: { type: "string", format: "date-time" },
              },
            },
          },
        },
      },
      Key: {
        type: "object",
        required: ["id", "name", "attributes", "may_set", "role", "created_at", "expires_at"],
        properties: {
          id: { type: "string" },
          ...keyProperties(),
          created_at: { type: "string", format: "date-time" },
          expires_at: { type: ["string", "null"], format: "date-time" },
        },
      },
      NewKey: {
        type: "object",
        additionalProperties: false,
        required: ["name"],
        properties: { ...keyProperties(), expires_at: { type: ["string", "null"], format: "date-time" } },
      },
      Channel: {
        type: "object",
        required: ["name", "kind", "waiting", "last"],
        properties: {
          name: { type: "string" },
          kind: { enum: CHANNEL_KINDS },
          waiting: { type: "integer", description: "Notices that are still to be delivered." },
          last: { anyOf: [ref("schemas", "Delivery"), { type: "null" }] },
        },
      },
      Delivery: {
        type: "object",
        required: ["notice", "channel", "title", "at", "attempt", "error", "is_last"],
        properties: {
          notice: { type: "string", description: "The same for every try." },
          channel: { type: "string" },
          title: { type: "string" },
          at: { type: "string", format: "date-time" },
          attempt: { type: "integer", minimum: 1 },
          error: { type: ["string", "null"], description: "null: it was delivered." },
          is_last: { type: "boolean" },
        },
      },
      Switch: {
        type: "object",
        required: ["id", "for", "in_force", "at", "by", "why", "until", "ended"],
        properties: {
          id: { type: "string" },
          ...switchProperties(),
          in_force: { type: "boolean" },
          at: { type: "string", format: "date-time" },
          until: { type: ["string", "null"], format: "date-time", description: "null: until somebody switches it on." },
          ended: {
            type: ["object", "null"],
            description: "Who switched it on again.",
            properties: { at: { type: "string", format: "date-time" }, by: { type: "string" }, why: { type: "string" } },
          },
        },
      },
      Guard: {
        type: "object",
        required: ["id", "budget", "subject", "guard", "measured", "at", "until", "does", "message"],
        properties: {
          id: { type: "string" },
          budget: { type: "string" },
          subject: {
            type: "string",
            description: "Whose calls; empty where the budget has one balance for all.",
            examples: ["session=42"],
          },
          guard: { enum: ["repeats", "same_tool", "growth", "surge"] },
          measured: { type: "integer", description: "How often, how many calls in a row, or how many times as much." },
          at: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time", description: "Then it lets go by itself." },
          does: { type: "array", items: { type: "string" }, description: "What happens to calls.", examples: [["block"]] },
          message: { type: "string", description: "What callers are told." },
        },
      },
      WaitingCall: {
        type: "object",
        required: [
          "id",
          "status",
          "rung",
          "subject",
          "key",
          "path",
          "queued_at",
          "runs_at",
          "gives_up_at",
          "kept_until",
          "answered",
          "failure",
        ],
        properties: {
          id: { type: "string", examples: ["queued_7f3a"] },
          status: { enum: ["queued", "running", "done", "failed", "deleted"] },
          rung: { type: "string", description: "What let it wait.", examples: ["queue (nightly 100%)"] },
          subject: { type: "object", description: "Whose call it is.", examples: [{ feature: "nightly", user: "ann" }] },
          key: { type: ["string", "null"], description: "The id of the key that made it; null for the owner's own." },
          path: { type: "string", examples: ["/v1/chat/completions"] },
          queued_at: { type: "string", format: "date-time" },
          runs_at: { type: "string", format: "date-time", description: "When it asks its budget." },
          gives_up_at: { type: "string", format: "date-time", description: "When it fails, if it finds no room until then." },
          kept_until: { type: "string", format: "date-time", description: "When it is deleted, if nobody fetches it." },
          answered: { type: ["integer", "null"], description: "The status of its answer." },
          failure: { type: ["string", "null"], description: "Why it failed." },
        },
      },
      NewSwitch: {
        type: "object",
        additionalProperties: false,
        required: ["for", "why"],
        properties: {
          ...switchProperties(),
          until: { type: ["string", "null"], format: "date-time", description: "Never ends by itself where it is left out." },
        },
      },
      ReportRow: {
        allOf: [
          ref("schemas", "ReportAmounts"),
          {
            type: "object",
            required: ["from", "to", "values"],
            properties: {
              from: { type: "string", format: "date-time" },
              to: { type: "string", format: "date-time", description: "Not included." },
              values: {
                type: "object",
                description: "By attribute; null where calls have none.",
                examples: [{ team: "search", model: "gpt-4o" }],
              },
              before: ref("schemas", "ReportAmounts"),
            },
          },
        ],
      },
      Deed: {
        type: "object",
        required: ["n", "at", "by", "what", "previous", "hash"],
        properties: {
          n: { type: "integer", description: "From 1, without gaps." },
          at: { type: "string", format: "date-time" },
          by: { type: "string" },
          what: { type: "string", examples: ["POST /api/grants", "access.refused", "config.changed"] },
          from: { type: "string", description: "The address that it came from." },
          details: { type: "object" },
          of: { type: "integer", description: "The line of which this one says the outcome." },
          previous: { type: "string", description: "The hash of the line before." },
          hash: { type: "string" },
        },
      },
      Statement: {
        type: "object",
        required: ["value", "owner", "total", "before", "share", "lines"],
        properties: {
          value: { type: ["string", "null"], description: "Null for calls that have none." },
          owner: {
            type: ["string", "null"],
            description:
              "The owner of the budget for this value, else of one for all; of a cost centre, of the widest budget with it; by owner, the value.",
          },
          total: ref("schemas", "ReportAmounts"),
          before: ref("schemas", "ReportAmounts"),
          share: { type: "number", description: "The part of the whole cost, from 0 to 1." },
          lines: {
            type: "array",
            items: {
              allOf: [
                ref("schemas", "ReportAmounts"),
                { type: "object", properties: { provider: { type: ["string", "null"] }, model: { type: ["string", "null"] } } },
              ],
            },
          },
        },
      },
      EconomicsQuestion: {
        type: "object",
        additionalProperties: false,
        properties: {
          since: { type: "string" },
          until: { type: "string" },
          time_zone: { type: "string" },
          filter: { type: "array", items: { type: "string" } },
          afford: { type: "string", description: "An amount in dollars: how many calls does it pay for?", examples: ["0.50"] },
          by: { type: "string", description: "The attribute whose values `revenue` names." },
          revenue: { type: "object", description: "Dollars by value.", examples: [{ acme: "1200.00" }] },
        },
      },
      Economics: {
        type: "object",
        required: [
          "since",
          "until",
          "time_zone",
          "calls",
          "tokens",
          "cost_nanodollars",
          "users",
          "sessions",
          "user_days",
          "per",
          "affords",
          "against",
        ],
        properties: {
          since: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time" },
          time_zone: { type: "string" },
          calls: amount(),
          tokens: amount(),
          cost_nanodollars: amount(),
          users: amount("Those who are named in calls."),
          sessions: amount(),
          user_days: amount("On how many days each user was there, added up."),
          per: {
            type: "object",
            description: "What one of each costs, in nano-dollars; null where there is none.",
            properties: Object.fromEntries(
              ["call", "million_tokens", "user", "user_day", "session"].map((unit) => [unit, { type: ["integer", "null"] }]),
            ),
          },
          affords: {
            type: ["object", "null"],
            properties: { nanodollars: amount(), calls: { type: ["integer", "null"] } },
          },
          against: {
            type: ["object", "null"],
            properties: {
              by: { type: "string" },
              data: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    value: { type: ["string", "null"] },
                    cost_nanodollars: amount(),
                    revenue_nanodollars: amount(),
                    margin_nanodollars: amount(),
                    cost_share: { type: ["number", "null"], description: "The cost of each dollar that came in." },
                  },
                },
              },
            },
          },
        },
      },
      ReportAmounts: {
        type: "object",
        required: ["calls", "refusals", "input_tokens", "output_tokens", "cost_nanodollars"],
        properties: {
          calls: amount("Calls that ended and were charged."),
          refusals: amount(),
          input_tokens: amount("Cached ones included."),
          cache_read_input_tokens: amount(),
          cache_write_input_tokens: amount(),
          output_tokens: amount("Reasoning included."),
          reasoning_output_tokens: amount(),
          cost_nanodollars: amount(),
          estimated_nanodollars: amount(
            "The part of the cost that was counted by Purser, because the provider did not say what calls used.",
          ),
          unconfirmed_nanodollars: amount("The part of the cost that is charged at an estimate."),
          unpriced_calls: amount("Calls to models without a price, which count as nothing in the cost."),
          resent_input_tokens: amount("The part of the input that its session had sent before, as far as that was seen: at least so much."),
          resent_cache_read_input_tokens: amount("The part of that which was read from the provider's prompt cache."),
          resent_nanodollars: amount("The part of the cost that sending it again cost."),
          known_answers: amount("Calls that got an answer which was known, so that no provider was asked. They are not in `calls`."),
          saved_nanodollars: amount("What ladders saved, less what they spent for that, as far as it is known. It is no part of the cost."),
        },
      },
      Resent: {
        type: "object",
        required: ["calls", "session_calls", "input_tokens", "resent_input_tokens", "cost_nanodollars", "resent_nanodollars"],
        properties: {
          calls: amount("Calls whose end is known."),
          session_calls: amount("Those of which it was looked at what their session had sent before."),
          input_tokens: amount("Cached ones included."),
          resent_input_tokens: amount("The part that its session had sent before, as far as that was seen: at least so much."),
          resent_cache_read_input_tokens: amount("The part of that which was read from the provider's prompt cache."),
          resent_paid_input_tokens: amount("The rest of it, which was not."),
          cost_nanodollars: amount(),
          resent_nanodollars: amount("The part of the cost that sending it again cost."),
        },
      },
      Waste: {
        type: "object",
        required: ["since", "until", "time_zone", "by", "total", "data", "rows", "answers", "savings", "repriced_calls"],
        properties: {
          since: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time" },
          time_zone: { type: "string" },
          by: { type: "array", items: { type: "string" } },
          total: ref("schemas", "Resent"),
          data: {
            type: "array",
            items: {
              allOf: [
                ref("schemas", "Resent"),
                { type: "object", properties: { values: { type: "object", additionalProperties: { type: ["string", "null"] } } } },
              ],
            },
          },
          rows: amount("How many there are in all."),
          answers: {
            type: "array",
            description: "How long the answers of each feature are.",
            items: {
              type: "object",
              properties: {
                feature: { type: ["string", "null"] },
                calls: amount(),
                uncapped_calls: amount("Calls whose caller set no cap for the answer."),
                p50_output_tokens: amount(),
                p95_output_tokens: amount(),
                max_output_tokens: amount(),
                saved_nanodollars: amount("What a cap at the p95 would have saved of the calls that had none."),
              },
            },
          },
          savings: {
            type: "array",
            description: "What could be saved, each by itself: they overlap, so they do not add up.",
            items: {
              type: "object",
              required: ["kind", "calls", "nanodollars", "how"],
              properties: {
                kind: { enum: ["caching", "output", "batch", "model"] },
                calls: amount("The calls that would have cost less."),
                nanodollars: amount(),
                how: { type: "string", description: "How it was reckoned." },
              },
            },
          },
          repriced_calls: amount("Calls whose price has changed since: nothing is said of what could be saved of them."),
        },
      },
      SavedMoney: {
        type: "object",
        required: ["gross_nanodollars", "spent_nanodollars", "saved_nanodollars"],
        properties: {
          gross_nanodollars: amount("What was saved of calls, as far as that can be known; those that became dearer are taken off."),
          spent_nanodollars: amount("What calls cost that rungs made themselves, such as those that write summaries."),
          saved_nanodollars: amount("The first less the second."),
        },
      },
      Savings: {
        type: "object",
        required: ["since", "until", "time_zone", "total", "data"],
        properties: {
          since: { type: "string", format: "date-time" },
          until: { type: "string", format: "date-time" },
          time_zone: { type: "string" },
          total: ref("schemas", "SavedMoney"),
          data: {
            type: "array",
            items: {
              allOf: [
                ref("schemas", "SavedMoney"),
                {
                  type: "object",
                  required: ["budget", "rung", "kind", "calls", "unknown_calls", "left_out_tokens", "is_estimate", "how"],
                  properties: {
                    budget: { type: "string" },
                    rung: { type: "string", description: "As it is written in the ladder; `refused` for calls that the budget refused." },
                    kind: { enum: SAVING_KINDS },
                    calls: amount("Calls that it touched. One that several touched is with each of them."),
                    unknown_calls: amount("Of these, calls of which nobody can know what it saved."),
                    left_out_tokens: amount("Tokens of input that it left out, as counted here."),
                    is_estimate: {
                      type: "boolean",
                      description: "Whether the money is an estimate, because what was left out is counted here.",
                    },
                    how: { type: "string", description: "How the money was reckoned." },
                  },
                },
              ],
            },
          },
        },
      },
      AskedCall: {
        type: "object",
        additionalProperties: false,
        required: ["subject"],
        oneOf: [
          { required: ["path", "body"] },
          { required: ["input_tokens", "max_output_tokens"] },
          { required: ["text", "max_output_tokens"] },
        ],
        properties: {
          id: { type: "string", pattern: "^[\\w.:-]{1,128}$", description: "Chosen by you: asked again, it holds nothing twice." },
          subject: {
            type: "object",
            required: ["provider"],
            description: "Who the call is charged to, and where it goes. The body of a call says its model itself.",
            examples: [{ team: "support", user: "ann", provider: "openai", model: "gpt-4o", tags: { customer: "acme" } }],
          },
          path: { type: "string", description: "The path of the call at its provider, which says its format: `/v1/chat/completions`." },
          body: {
            type: ["object", "string"],
            description: "The body of the call, as an object or as its text: its input is counted, and its output cap read.",
          },
          input_tokens: amount("The tokens of the input, or more."),
          text: { type: "string", description: "The text of the input, to be counted here. It is not kept." },
          max_output_tokens: amount("The output cap of one answer."),
          least_output_tokens: amount("The cap is not lowered below this."),
          copies: { type: "integer", minimum: 1, maximum: 1000, default: 1, description: "How many answers are asked for." },
          tool_calls: {
            type: "object",
            description: "The most calls of tools that are charged by the call.",
            examples: [{ web_search: 3 }],
          },
          priced_as: {
            type: "string",
            description: "The model whose price holds, where that is another one: a mode of it that costs more.",
          },
          service: { ...service(), description: "The tier that the call asks for, where the provider prices that." },
          lease_seconds: leaseSeconds(),
        },
      },
      Decision: {
        type: "object",
        required: ["outcome"],
        properties: {
          outcome: {
            enum: ["allowed", "uncounted", "free"],
            description:
              "uncounted: the store is down and the budgets say to go on. free: the call costs nothing. There is nothing to settle of either.",
          },
          body: {
            type: ["object", "string"],
            description: "The body to send, of a call that was sent whole: with the output cap that fits.",
          },
          id: { type: "string" },
          output_tokens: amount("The output cap to send: what was asked, or what fits."),
          input_tokens: amount("Held for the input."),
          expires_at: {
            type: "string",
            format: "date-time",
            description: "The call is charged at its estimate if it is not settled by then.",
          },
          balances: { type: "array", items: ref("schemas", "Balance"), description: "Every limit that applies, the tightest first." },
          message: { type: "string" },
        },
      },
      ReportedUsage: {
        type: "object",
        additionalProperties: false,
        properties: {
          answer: {
            type: ["object", "array", "string"],
            description: "What the provider answered, in the place of usage: its JSON, or the text of its stream.",
          },
          status: { type: "integer", minimum: 100, maximum: 599, default: 200, description: "With which status it answered." },
          content_type: { type: "string", description: "Of the answer, where it is neither JSON nor server-sent events." },
          path: { type: "string", description: "The path of the call, where it was not sent whole." },
          usage: {
            type: "object",
            additionalProperties: false,
            description: "Tokens by kind. Leave out what is not known: a total that nobody knows is charged as it was held.",
            properties: {
              input_tokens: amount("All of the input, cached parts included."),
              cache_read_input_tokens: amount(),
              cache_write_input_tokens: amount("For 5 minutes and for 1 hour together."),
              cache_write1h_input_tokens: amount(),
              audio_input_tokens: amount(),
              image_input_tokens: amount(),
              unbilled_input_tokens: amount(),
              output_tokens: amount("All of the output, reasoning included."),
              reasoning_output_tokens: amount(),
              audio_output_tokens: amount(),
              image_output_tokens: amount(),
              unbilled_output_tokens: amount(),
              tool_calls: { type: "object" },
              besides: {
                type: "object",
                description: "What the provider did for the answer and leaves out of these totals, in the same fields.",
              },
            },
          },
          certainty: {
            enum: ["confirmed", "estimated", "unconfirmed"],
            default: "confirmed",
            description: "confirmed: the provider said so.",
          },
          service: {
            ...service(),
            description: "The tier at which the provider served the call: the one that was asked for where it is left out.",
          },
        },
      },
      Refusal: {
        allOf: [
          ref("schemas", "Problem"),
          {
            type: "object",
            properties: {
              id: { type: "string" },
              budget: { type: "object", description: "The budget that refuses, as in the gateway's own refusals." },
              retry_after_ms: { type: "integer", description: "When trying again makes sense, where that is within a minute." },
              body: { type: "object", description: "The error as the client of the call reads it, where that was sent whole." },
            },
          },
        ],
      },
      Problem: {
        type: "object",
        description: "RFC 9457.",
        required: ["type", "title", "status", "detail", "code"],
        properties: {
          type: { type: "string" },
          title: { type: "string" },
          status: { type: "integer" },
          detail: { type: "string" },
          code: { type: "string", description: "One of the error codes." },
        },
      },
    },
  },
} as const;

function json(description: string, schema: object) {
  return { description, content: { "application/json": { schema } } };
}

function ref(kind: "schemas" | "responses", name: string) {
  return { $ref: `#/components/${kind}/${name}` };
}

function list(schema: string) {
  return { type: "object", required: ["data"], properties: { data: { type: "array", items: ref("schemas", schema) } } };
}

function body(schema: string) {
  return { required: true, content: { "application/json": { schema: ref("schemas", schema) } } };
}

/** The decision in headers, by either method. */
function authorization(operationId: string) {
  return {
    operationId,
    summary: "The same decision in headers: for nginx's auth_request and Envoy's ext_authz.",
    parameters: [
      ...["provider", "model", "input-tokens", "max-output-tokens"].map((name) => purserHeader(name, true)),
      ...["least-output-tokens", "copies", "lease-seconds", "decision-id"].map((name) => purserHeader(name, false)),
      ...["org", "team", "product", "feature", "user", "tier", "session", "task", "tags"].map((name) => purserHeader(name, false)),
      {
        name: "status",
        in: "query",
        description: "`exact`: a refusal has its own status. Without it, it has 403, and its own one in x-purser-status.",
        schema: { const: "exact" },
      },
    ],
    responses: {
      200: json("It may be sent; see x-purser-decision-id and x-purser-output-tokens.", ref("schemas", "Decision")),
      default: ref("responses", "Refusal"),
    },
  };
}

function purserHeader(name: string, required: boolean) {
  return { name: `x-purser-${name}`, in: "header", required, schema: { type: "string" } };
}

function reportParameter(name: string, description: string) {
  return { name, in: "query", description, schema: { type: "string" } };
}

function service() {
  return { enum: ["standard", "batch", "flex", "priority"] };
}

function leaseSeconds() {
  return { type: "integer", minimum: 1, maximum: 86_400, default: 600, description: "How long the hold lives without being extended." };
}

function id(description: string) {
  return { name: "id", in: "path", required: true, description, schema: { type: "string" } };
}

function strings(description: string) {
  return { type: "array", items: { type: "string" }, description };
}

function nullableShare(description: string) {
  return { type: ["number", "null"], description: `${description} A part of 1; null where none would.` };
}

function repeated(name: string, description: string) {
  return { ...reportParameter(name, description), schema: { type: "array", items: { type: "string" } }, explode: true };
}

function amount(description?: string) {
  return { type: "integer", ...(description !== undefined && { description }) };
}

function counterProperties() {
  return {
    budget: { type: "string" },
    subject: { type: "string", description: "`user=ann`; empty for a budget with a single balance." },
    ...windowProperties(),
  };
}

function windowProperties() {
  return {
    unit: { enum: ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests", "concurrent"] },
    window: { type: "string", examples: ["month", "day", "rolling 1d", "minute bucket", "minute leaky", "lifetime"] },
  };
}

function standingProperties() {
  return {
    limit: amount("The amount in force, with what is granted and carried over; of a bucket, what it takes at once."),
    spent: amount(),
    held: amount("Held by calls in flight."),
    left: amount("What is left for new calls; never below 0."),
    resets_at: {
      type: ["string", "null"],
      format: "date-time",
      description: "null: it never resets. Of a window that moves: when all that is used has come back, if nothing else is used.",
    },
  };
}

function subjectOf(description: string) {
  return { type: "object", description, examples: [{ user: "ann" }, { team: "support", tags: { customer: "acme" } }] };
}

function giverProperties() {
  return {
    giver: { type: "string", maxLength: 256, description: "Who does it; known by the key where it is left out." },
    why: { type: "string", maxLength: 256, description: "Kept in the ledger." },
  };
}

function callProperties() {
  return {
    id: { type: "string" },
    at: { type: "string", format: "date-time" },
    outcome: { enum: CALL_OUTCOMES },
    provider: { type: ["string", "null"] },
    model: { type: ["string", "null"] },
    subject: { type: "object" },
    usage: { type: ["object", "null"], description: "Tokens by kind. A kind that is not known is left out." },
    cost_nanodollars: { type: ["integer", "null"] },
    certainty: { enum: ["confirmed", "estimated", "unconfirmed", null] },
    reason: { type: ["string", "null"], description: "The error code of a denial, also where the caller got a ready text in its place." },
    message: { type: ["string", "null"] },
  };
}

function switchProperties() {
  return {
    for: {
      type: "object",
      description: "Which calls it stops, in the words of a budget's `for:`. An empty one stops all.",
      examples: [{ feature: "chatbot" }, { model: ["gpt-4o", "gpt-4o-*"], "tag.env": "prod" }],
    },
    why: { type: "string", maxLength: 256, description: "Whoever is refused reads it." },
    by: { type: "string", maxLength: 256, description: "Who does it. The key that was used is added." },
  };
}

function keyProperties() {
  return {
    name: { type: "string", maxLength: 256 },
    attributes: { type: "object", description: "What every call with the key is charged to.", examples: [{ team: "engineering" }] },
    may_set: {
      type: "array",
      items: { type: "string" },
      description: "What the holder may add by headers.",
      examples: [["user", "session", "tag.*"]],
    },
    role: { enum: KEY_ROLES, description: "member: sees its own on /api; viewer: sees all there, and makes no calls." },
  };
}
