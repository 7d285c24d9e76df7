import { HANDOVER_STATUSES } from "../handovers/handover.ts";

const TEXT = { type: "string" } as const;
const OR_NULL = { type: ["string", "null"] } as const;
const INSTANT = { type: "string", format: "date-time" } as const;
const INSTANT_OR_NULL = { type: ["string", "null"], format: "date-time" } as const;
const BY = { type: "string", description: "Who does it; the key, or the person who signed in, where it is left out." } as const;

/** Conversations that people go on with: listed, read, taken, answered and given back. A support desk can do all of it. */
export const HANDOVER_PATHS = {
  "/api/handovers": {
    get: {
      operationId: "listHandovers",
      summary: "Conversations that people go on with, whoever waits longest first. Without what was said.",
      parameters: [
        { name: "all", in: "query", description: "With those that were given back within 30 days.", schema: { type: "boolean" } },
      ],
      responses: answers("At most 1,000, and how many there are.", {
        type: "object",
        required: ["data", "total"],
        properties: { data: { type: "array", items: ref("Handover") }, total: { type: "integer" } },
      }),
    },
  },
  "/api/handovers/{id}": {
    get: {
      operationId: "getHandover",
      summary:
        "One of them, with what was said where the ladder says that it is kept. That it was read stands in the audit log. Not for viewers.",
      parameters: [id()],
      responses: answers("The handover.", ref("WholeHandover")),
    },
  },
  "/api/handovers/{id}/take": {
    post: {
      operationId: "takeHandover",
      summary: "Somebody goes on with a conversation.",
      parameters: [id()],
      requestBody: body({ by: BY, over: { type: "boolean", description: "Takes it over from whoever has it." } }),
      responses: answers("How it stands.", ref("OneHandover")),
    },
  },
  "/api/handovers/{id}/answer": {
    post: {
      operationId: "answerHandover",
      summary: "What the next call of the conversation gets. The audit log has that it was answered, and not the text.",
      parameters: [id()],
      requestBody: body(
        { by: BY, text: { type: "string", maxLength: 20_000 }, return: { type: "boolean", description: "Gives it back at once." } },
        ["text"],
      ),
      responses: answers("How it stands.", ref("OneHandover")),
    },
  },
  "/api/handovers/{id}/return": {
    post: {
      operationId: "returnHandover",
      summary: "Gives a conversation back: its calls go on as before, in whatever state its budget is.",
      parameters: [id()],
      requestBody: body({ by: BY }),
      responses: answers("How it stands.", ref("OneHandover")),
    },
  },
} as const;

const HANDOVER = {
  id: { type: "string", examples: ["handover_7f3a"] },
  status: { enum: HANDOVER_STATUSES },
  budget: TEXT,
  subject: { type: "object", description: "Whose conversation it is.", examples: [{ user: "ann", session: "s-1" }] },
  key: { ...OR_NULL, description: "The id of the key that its calls come with, or of what was handed on of it; null for the owner's own." },
  rung: { type: "string", examples: ["hand over (chatbot)"] },
  why: { type: "string", description: "What the budget said." },
  opened_at: INSTANT,
  changed_at: { ...INSTANT, description: "When a call of it came, or somebody did something, for the last time." },
  waiting_since: { ...INSTANT_OR_NULL, description: "Since when nobody has answered its last call." },
  taken_by: OR_NULL,
  taken_at: INSTANT_OR_NULL,
  returned_by: OR_NULL,
  returned_at: INSTANT_OR_NULL,
  calls: { type: "integer", description: "Its calls so far." },
  waiting_answers: { type: "integer", description: "How many answers its next call gets." },
  kept_until: { ...INSTANT_OR_NULL, description: "When what was said is deleted; null where nothing is kept." },
} as const;

const SAID = {
  type: "object",
  required: ["by", "text"],
  properties: { by: { enum: ["user", "assistant"] }, text: TEXT },
} as const;

const ANSWER = {
  type: "object",
  required: ["by", "answered_at", "given_at", "text"],
  properties: {
    by: TEXT,
    answered_at: INSTANT,
    given_at: { ...INSTANT_OR_NULL, description: "When the conversation got it." },
    text: { ...OR_NULL, description: "Null where it is not kept any more." },
  },
} as const;

export const HANDOVER_SCHEMAS = {
  Handover: { type: "object", required: Object.keys(HANDOVER), properties: HANDOVER },
  OneHandover: {
    allOf: [
      ref("Handover"),
      {
        type: "object",
        required: ["hands_over_again"],
        properties: {
          hands_over_again: {
            type: "boolean",
            description:
              "Whether its next call would be handed over anew, were it with nobody: its budget stands where the ladder says so.",
          },
        },
      },
    ],
  },
  WholeHandover: {
    allOf: [
      ref("OneHandover"),
      {
        type: "object",
        required: ["conversation", "answers"],
        properties: {
          conversation: { type: ["array", "null"], items: SAID, description: "Null where it is not kept." },
          answers: { type: "array", items: ANSWER },
        },
      },
    ],
  },
} as const;

function id() {
  return {
    name: "id",
    in: "path",
    required: true,
    description: "The id of the handover: handover_….",
    schema: { type: "string" },
  } as const;
}

function body(properties: Readonly<Record<string, object>>, required: readonly string[] = []) {
  const schema = { type: "object", additionalProperties: false, required, properties };
  return { required: required.length > 0, content: { "application/json": { schema } } };
}

function answers(description: string, schema: object) {
  return { 200: { description, content: { "application/json": { schema } } }, default: { $ref: "#/components/responses/Problem" } };
}

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` } as const;
}
