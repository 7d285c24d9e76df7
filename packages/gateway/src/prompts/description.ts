import { PurserError } from "@purser/core";
import { attributeProblem } from "../config/description.ts";
import {
  choice,
  count,
  described,
  type JsonSchema,
  list,
  located,
  map,
  object,
  parsed,
  text,
  textOrMap,
  type ValueOf,
} from "../config/field.ts";
import { VARIABLE_FORMS } from "./template.ts";

/** Everything that can stand in prompts.yaml, once: the reader and the JSON Schema are made from it. */

const PROMPTS_MOST = 1_000;
const SAMPLES_MOST = 200;
const ATTRIBUTES_MOST = 32;
const TOKENS_MOST = 1_000_000_000;
const CALLS_MOST = 1_000_000_000;
const SHARE = /^\d{1,4}(\.\d{1,2})?\s*%$/;
const ALL = 10_000;

/** Attributes that say where a call goes. That follows from the model. */
const GATEWAYS_OWN = ["provider", "model", "endpoint"];

const tokens = () => count({ least: 0, most: TOKENS_MOST, what: "a number of tokens" });
const calls = () => count({ least: 1, most: CALLS_MOST, what: "a number of calls" });
/** Hundredths of a per cent. */
const growth = () => parsed({ pattern: SHARE.source, examples: ["10%"] }, readShare);
const plain = () => parsed({ maxLength: 500 }, checkedPlain);
const file = () => parsed({ maxLength: 1000 }, checkedPath);

const sample = textOrMap(text(), object({ file: described("The file that has the value.", file()) }, { required: ["file"] }));

const prompt = object(
  {
    name: described("What the prompt is called in the report, and by which it is found again in another version.", parsed({}, checkedName)),
    system: described("The file with the system prompt.", file(), { examples: ["prompts/support.md"] }),
    message: described("The file with what the user says.", file(), { examples: ["prompts/question.md"] }),
    body: described("The file with a whole request body, as JSON, in the place of system and message.", located(file()), {
      examples: ["prompts/review.json"],
    }),
    path: described("The path of the gateway to which the body is posted, which says in what format it is.", located(plain()), {
      default: "/v1/chat/completions",
      examples: ["/v1/messages", "/v1/responses", "/v1beta/models/gemini-2.5-pro:generateContent"],
    }),
    model: described("The model that is asked. A body or a path that names one says it itself.", located(plain()), {
      examples: ["gpt-4o-mini", "openrouter/openai/gpt-4o"],
    }),
    max_output: described("The output cap that calls are made with. A body says it itself.", located(tokens())),
    answer: described("The output tokens that an answer usually has. The cap, where it is left out.", tokens()),
    cached: described(
      "The share of its input that the provider usually reads from its cache. None of it, where it is left out.",
      parsed({ pattern: SHARE.source, examples: ["80%"] }, readCachedShare),
    ),
    calls_a_day: described("How many calls a day are expected.", calls()),
    for: described(
      "What the calls are charged to: an attribute and its value.",
      map(parsed({ maxLength: 256 }, checkedValue), { most: ATTRIBUTES_MOST, key: chargedProblem }),
      { examples: [{ feature: "support", tier: "free" }] },
    ),
    per: described(
      "How many of a day's calls one user makes (or session, task, …), for budgets that give each a balance of its own.",
      located(map(located(calls()), { most: ATTRIBUTES_MOST, key: chargedProblem })),
      { examples: [{ user: 20 }] },
    ),
    variables: described(
      `How variables are written: double-braces, {{name}}; single-braces, {name}; dollar-braces, \${name}; none, where braces are only text.`,
      choice(VARIABLE_FORMS),
      { default: "double-braces" },
    ),
    samples: described("What stands for the variables: a text, or the file that has it.", map(located(sample), { most: SAMPLES_MOST }), {
      examples: [{ question: "Where is my parcel?", article: { file: "samples/article.md" } }],
    }),
    grows_most: described("By how much its input may grow in one change; as the top of the file says where it is left out.", growth()),
  },
  { required: ["name"] },
);

/** The whole file. */
export const PROMPTS = object(
  {
    grows_most: described("By how much the input of any prompt may grow in one change.", growth()),
    prompts: described("The prompts, each with what is expected of its calls.", list(located(prompt), { most: PROMPTS_MOST, least: 1 })),
  },
  { required: ["prompts"] },
);

export type PromptFields = ValueOf<typeof prompt>;
export type SampleFields = ValueOf<typeof sample>;

/** The JSON Schema of prompts.yaml, for editors. */
export function promptsSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "prompts.yaml",
    description: "Prompts with what is expected of their calls, for purser check --prompts.",
    ...PROMPTS.schema,
  };
}

/** The schema as it is published in `docs/reference/prompts.schema.json`. */
export function promptsSchemaText(): string {
  return `${JSON.stringify(promptsSchema(), null, 2)}\n`;
}

function readShare(written: string): number {
  if (!SHARE.test(written)) throw wrong(`"${written}" is not a share. Write one like 10%.`);
  return Math.round(Number.parseFloat(written) * 100);
}

function readCachedShare(written: string): number {
  const share = readShare(written);
  if (share > ALL) throw wrong(`"${written}" is more than all of it.`);
  return share;
}

function checkedName(value: string): string {
  if (value.length > 100) throw wrong("is longer than 100 characters. Choose another name.");
  if (/\p{Cc}/u.test(value)) throw wrong("has a control character in it. Choose another name.");
  return value.trim();
}

function checkedPlain(value: string): string {
  if (/\p{Cc}/u.test(value)) throw wrong("has a control character in it.");
  return value.trim();
}

/** Only the text is judged here. Whether a link leads elsewhere, the file system says. */
function checkedPath(value: string): string {
  if (/\p{Cc}/u.test(value)) throw wrong("has a control character in it, which no file of a prompt has.");
  if (/^([/\\~]|[A-Za-z]:)/.test(value) || value.split(/[/\\]/).includes(".."))
    throw wrong(`"${value}" leads out of the folder of this file. Name a file below it.`);
  return value;
}

function checkedValue(value: string): string {
  if (/[*\p{Cc}]/u.test(value)) throw wrong(`"${value}" is no single value. Calls have one value for each attribute.`);
  return value.trim();
}

function chargedProblem(key: string): string | undefined {
  if (GATEWAYS_OWN.includes(key)) return "is not said here: it follows from model, which stands beside for.";
  return attributeProblem(key);
}

function wrong(message: string): PurserError {
  return new PurserError("config_invalid", message);
}
