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
    "/api/budgets": {
      get: {
        operationId: "listBudgets",
        summary: "Every balance as it stands: one for each limit, and for each subject that used it in its window.",
        parameters: [{ name: "budget", in: "query", description: "Only the budget of this name.", schema: { type: "string" } }],
        responses: { 200: json("The balances.", list("Balance")), default: ref("responses", "Problem") },
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
    },
    schemas: {
      Balance: {
        type: "object",
        additionalProperties: false,
        required: ["budget", "subject", "unit", "window", "limit", "spent", "held", "left", "resets_at"],
        properties: {
          ...counterProperties(),
          limit: amount(),
          spent: amount(),
          held: amount("Held by calls in flight."),
          left: amount("What is left for new calls; never below 0."),
          resets_at: { type: ["string", "null"], format: "date-time", description: "null: it never resets." },
        },
      },
      CallBalance: {
        type: "object",
        required: ["budget", "subject", "unit", "window", "held", "spent"],
        properties: { ...counterProperties(), held: amount("Held when the call was admitted."), spent: amount("Charged in the end.") },
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
          entries: {
            type: "array",
            items: {
              type: "object",
              required: ["seq", "at", "kind", "postings"],
              properties: {
                seq: { type: "integer" },
                at: { type: "string", format: "date-time" },
                kind: { enum: ["reserved", "extended", "settled", "overrun", "expired", "corrected", "released", "denied", "adjusted"] },
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

function id(description: string) {
  return { name: "id", in: "path", required: true, description, schema: { type: "string" } };
}

function amount(description?: string) {
  return { type: "integer", ...(description !== undefined && { description }) };
}

function counterProperties() {
  return {
    budget: { type: "string" },
    subject: { type: "string", description: "`user=ann`; empty for a budget with a single balance." },
    unit: { enum: ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests", "concurrent"] },
    window: { type: "string", examples: ["month", "day", "lifetime"] },
  };
}

function callProperties() {
  return {
    id: { type: "string" },
    at: { type: "string", format: "date-time" },
    outcome: { enum: ["in flight", "settled", "released", "expired", "denied"] },
    provider: { type: ["string", "null"] },
    model: { type: ["string", "null"] },
    subject: { type: "object" },
    usage: { type: ["object", "null"], description: "Tokens by kind. A kind that is not known is left out." },
    cost_nanodollars: { type: ["integer", "null"] },
    certainty: { enum: ["confirmed", "estimated", "unconfirmed", null] },
    reason: { type: ["string", "null"], description: "The error code of a denial." },
    message: { type: ["string", "null"] },
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
    role: { enum: ["caller", "admin"] },
  };
}
