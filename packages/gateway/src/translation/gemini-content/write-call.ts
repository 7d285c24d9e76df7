import { capOf } from "../cap.ts";
import type { Effort, ImagePart, PlainCall, PlainMessage, PlainTool, TargetModel, TextPart, ToolCall, ToolResult } from "../plain.ts";
import { inputOf } from "../tool-input.ts";
import { refuseOddTurns } from "../turns.ts";
import { isBlank, shown, Untranslatable } from "../untranslatable.ts";
import { signatureFor, versionOf } from "./models.ts";
import { inputSchema, promisedSchema } from "./schema.ts";

/** Names of tools, as Google takes them. */
const TOOL_NAME = /^[a-zA-Z_][\w.:-]{0,63}$/;
const IMAGES: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/webp", "image/heic", "image/heif"]);
/** No answer stops at more texts. */
const STOPS_MOST = 5;

/** The body of a call. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
export function writeCall(call: PlainCall, model: TargetModel): unknown {
  // Vertex AI serves models of others too, each in its own format.
  if (/claude/.test(model.name)) throw new Untranslatable(`${model.name} is not served in Google's format`);
  const system = call.system.filter((text) => !isBlank(text)).map(textPart);
  const contents = writeContents(call.messages, model);
  const { tools } = call;
  if (tools.length === 0 && call.messages.some(({ from }) => from === "tools"))
    throw new Untranslatable("it has results of tools, and names no tools");
  const config = generationConfig(call, model);
  return {
    ...(system.length > 0 && { systemInstruction: { parts: system } }),
    contents,
    ...(tools.length > 0 && { tools: [{ functionDeclarations: tools.map((tool) => writeTool(tool, model)) }], ...toolConfig(call) }),
    ...(Object.keys(config).length > 0 && { generationConfig: config }),
  };
}

function generationConfig(call: PlainCall, model: TargetModel): Readonly<Record<string, unknown>> {
  const { temperature, topP, stops } = call;
  if (stops.length > STOPS_MOST) throw new Untranslatable(`it has more than ${STOPS_MOST} texts to stop at`);
  const maxOutputTokens = capOf(call, model);
  return {
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(stops.length > 0 && { stopSequences: stops }),
    ...form(call, model),
    ...thinking(call, model, maxOutputTokens),
  };
}

/** Models from here on promise to keep to a JSON schema, and from `BESIDE_TOOLS_FROM` on where they have tools too. */
const SCHEMAS_FROM = 2.5;
const BESIDE_TOOLS_FROM = 3;

function form({ schema, tools }: PlainCall, { name }: TargetModel): Readonly<Record<string, unknown>> {
  if (!schema) return {};
  refuseUnknownPromise(name);
  if (tools.length > 0 && (versionOf(name) ?? 0) < BESIDE_TOOLS_FROM)
    throw new Untranslatable(`${name} takes no tools where its answer is to have a form`);
  return { responseMimeType: "application/json", responseJsonSchema: promisedSchema(schema.schema) };
}

function refuseUnknownPromise(name: string): void {
  if ((versionOf(name) ?? 0) < SCHEMAS_FROM) throw new Untranslatable(`nobody knows whether ${name} keeps to a schema`);
}

/** Models from here on think; from the next on it is said how hard, and before that with how many tokens. */
const THINKS_FROM = 2.5;
const LEVELS_FROM = 3;
/** As Google itself reads the efforts of OpenAI's calls (https://ai.google.dev/gemini-api/docs/openai#thinking). */
const BUDGETS: Readonly<Record<Effort, number>> = { low: 1_024, medium: 8_192, high: 24_576 };
/** No model takes a smaller budget than one of them does. */
const BUDGET_LEAST = 512;

/**
 * How hard to think. Thoughts count towards the cap: a call that does not ask for them gets none from models that can do without, and a
 * budget for them leaves half of the cap to the answer.
 */
function thinking({ effort }: PlainCall, { name }: TargetModel, cap = Number.POSITIVE_INFINITY): { readonly thinkingConfig?: unknown } {
  const version = versionOf(name) ?? 0;
  const isFlash = name.includes("flash") && !name.includes("image");
  if (version < THINKS_FROM) return {};
  if (version >= LEVELS_FROM) {
    if (effort === undefined) return isFlash ? { thinkingConfig: { thinkingLevel: "minimal" } } : {};
    return { thinkingConfig: { thinkingLevel: effort === "medium" && /gemini-3-pro/.test(name) ? "high" : effort } };
  }
  if (effort === undefined) return isFlash ? { thinkingConfig: { thinkingBudget: 0 } } : {};
  const thinkingBudget = Math.min(BUDGETS[effort], Math.floor(cap / 2));
  return thinkingBudget < BUDGET_LEAST ? {} : { thinkingConfig: { thinkingBudget } };
}

/** Turns alternate, and begin with the user. */
function writeContents(messages: readonly PlainMessage[], model: TargetModel): readonly unknown[] {
  refuseOddTurns(messages);
  const contents: { readonly role: "user" | "model"; readonly parts: unknown[] }[] = [];
  let called: readonly ToolCall[] = [];
  for (const message of messages) {
    const role = message.from === "model" ? "model" : "user";
    const parts = message.from === "tools" ? writeResults(message.results, called) : writeParts(message.parts, model);
    const last = contents.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else contents.push({ role, parts: [...parts] });
    called = message.from === "model" ? message.parts.filter((part) => part.kind === "tool-call") : [];
  }
  if (contents[0]?.role !== "user") throw new Untranslatable("it does not begin with the user");
  if (contents.some(({ parts }) => parts.length === 0)) throw new Untranslatable("a message is empty");
  return contents;
}

function writeParts(parts: readonly (TextPart | ImagePart | ToolCall)[], { name }: TargetModel): readonly unknown[] {
  const first = parts.find(({ kind }) => kind === "tool-call");
  return parts
    .filter((part) => part.kind !== "text" || !isBlank(part.text))
    .map((part) => {
      if (part.kind === "text") return textPart(part.text);
      if (part.kind === "image") return { inlineData: inlineData(part.source) };
      const functionCall = { id: part.id, name: part.name, args: inputOf(part) };
      return { functionCall, ...(part === first && signatureFor(name)) };
    });
}

function textPart(text: string): unknown {
  return { text };
}

function inlineData(source: ImagePart["source"]): unknown {
  if ("url" in source) throw new Untranslatable("an image is an address");
  if (!IMAGES.has(source.mediaType)) throw new Untranslatable(`an image is of type ${shown(source.mediaType)}`);
  return { mimeType: source.mediaType, data: source.base64 };
}

/** In the order of their calls, because older models know them by nothing else. */
function writeResults(results: readonly ToolResult[], called: readonly ToolCall[]): readonly unknown[] {
  return called.map(({ id, name }) => {
    const { texts = [], isError = false } = results.find((result) => result.id === id) ?? {};
    const said = texts.length === 1 ? texts[0] : texts;
    return { functionResponse: { id, name, response: isError ? { error: said } : { output: said } } };
  });
}

function writeTool({ name, description, schema, isStrict }: PlainTool, model: TargetModel): unknown {
  if (!TOOL_NAME.test(name)) throw new Untranslatable(`a tool is called ${shown(name)}`);
  if (isStrict) refuseUnknownPromise(model.name);
  const parametersJsonSchema = isStrict ? inputSchema(promisedSchema(schema), name) : inputSchema(schema, name);
  return { name, ...(description !== undefined && { description }), ...(parametersJsonSchema && { parametersJsonSchema }) };
}

/** Nothing where the model chooses as it sees fit. Where an input is promised to have its form, a call of a tool is checked. */
function toolConfig({ toolChoice, severalTools, tools }: PlainCall): { readonly toolConfig?: unknown } {
  if (!severalTools && toolChoice.kind !== "none") throw new Untranslatable("it takes one call of a tool at a time only");
  const isStrict = tools.some((tool) => tool.isStrict);
  if (toolChoice.kind === "one") return choosing("ANY", [toolChoice.name]);
  if (toolChoice.kind === "auto") return isStrict ? choosing("VALIDATED") : {};
  return choosing(toolChoice.kind === "any" ? "ANY" : "NONE");
}

function choosing(mode: string, names?: readonly string[]): { readonly toolConfig: unknown } {
  return { toolConfig: { functionCallingConfig: { mode, ...(names && { allowedFunctionNames: names }) } } };
}
