import { PurserError } from "@purser/core";
import { turnFor } from "../body.ts";
import { budgetedCall, callTerms } from "../budgeted-call.ts";
import type { Caller } from "../callers/identify.ts";
import { checkedName, invalid, requiredText } from "../dialects/body-fields.ts";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { type JsonBody, parseBody, readJsonBody } from "../dialects/json-body.ts";
import { isRecord, listOf } from "../dialects/json-value.ts";
import type { Gateway } from "../gateway.ts";
import { missingKey } from "../providers/routing.ts";
import { type RoutedCall, routedCall } from "../rungs/climb.ts";
import { openaiForm } from "./openai-form.ts";

/** One call of a batch that is to be made. */
export interface BatchLine {
  readonly customId: string;
  readonly routed: RoutedCall;
}

/** Who asks for a batch, and what it says about all of its calls. */
export interface LineTerms {
  readonly gateway: Pick<Gateway, "config" | "prices" | "route" | "calibration">;
  readonly caller: Caller;
  readonly tags: ModelCall["tags"];
}

/** The most that OpenAI takes, and Anthropic. */
const LINES_MOST = 100_000;
const NEWLINE = 0x0a;
/** So many are read between turns of the event loop. */
const LINES_A_TURN = 200;
const LARGE = 1024 * 1024;

/** The calls of an input file: a JSON object a line, with the address that its call would go to by itself. */
export async function readInputFile(terms: LineTerms, bytes: Buffer): Promise<readonly BatchLine[]> {
  const lines = new Lines(terms);
  let number = 0;
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const end = newline < 0 ? bytes.length : newline;
    const line = bytes.subarray(from, end);
    from = end + 1;
    number++;
    if (line.toString("latin1", 0, 64).trim() === "" && line.toString("latin1").trim() === "") continue;
    lines.add(`Line ${number} of the batch`, () => readInputLine(line));
    if (number % LINES_A_TURN === 0) await turnFor(LARGE);
  }
  return lines.all();
}

function readInputLine(bytes: Buffer): { readonly customId: string; readonly dialect: Dialect; readonly body: JsonBody } {
  const line = readJsonBody(bytes);
  const customId = requiredText(line, "custom_id");
  const method = requiredText(line, "method");
  const url = requiredText(line, "url");
  const dialect = openaiForm.dialects.find(({ path }) => url === `/v1${path}`);
  if (method !== "POST" || !dialect)
    throw invalid(
      `"${method} ${url.slice(0, 100)}" is no call that can be made in a batch. Write POST and /v1/chat/completions, for example.`,
    );
  const body = line.members.get("body");
  if (body?.type !== "object") throw invalid('The field "body" must be an object: the call as it would be sent by itself.');
  return { customId, dialect, body: readJsonBody(bytes.subarray(body.start, body.end)) };
}

/** The calls that stand in the request itself, as Anthropic has them. */
export async function readRequests(terms: LineTerms, request: JsonBody, dialect: Dialect): Promise<readonly BatchLine[]> {
  const lines = new Lines(terms);
  for (const [i, one] of listOf(parseBody(request).requests).entries()) {
    lines.add(`Request ${i} of the batch`, () => {
      if (!isRecord(one) || !isRecord(one.params)) throw invalid('It must be an object with "custom_id" and "params".');
      const body = readJsonBody(Buffer.from(JSON.stringify(one.params)));
      return { customId: checkedName(one.custom_id, "custom_id"), dialect, body };
    });
    if (i % LINES_A_TURN === 0) await turnFor(LARGE);
  }
  return lines.all();
}

/** Calls of one batch as they are read: all to one provider, in one format. */
class Lines {
  readonly #terms: LineTerms;
  readonly #lines: BatchLine[] = [];
  readonly #ids = new Set<string>();

  constructor(terms: LineTerms) {
    this.#terms = terms;
  }

  /** What is wrong with a call is said with where it stands. */
  add(where: string, read: () => { readonly customId: string; readonly dialect: Dialect; readonly body: JsonBody }): void {
    try {
      if (this.#lines.length >= LINES_MOST)
        throw invalid(`A batch has at most ${LINES_MOST.toLocaleString("en-US")} calls. Make two of it.`);
      const { customId, dialect, body } = read();
      if (this.#ids.has(customId)) throw invalid(`The custom_id "${customId}" is there twice. Give each call its own.`);
      const routed = lineCall(this.#terms, dialect, body);
      const [first] = this.#lines;
      if (first && first.routed.provider.name !== routed.provider.name)
        throw invalid(
          `It goes to ${routed.provider.name}, and the first one to ${first.routed.provider.name}. A batch goes to one provider.`,
        );
      if (first && first.routed.dialect !== routed.dialect)
        throw invalid(`It is a call of ${routed.dialect.name}, and the first one of ${first.routed.dialect.name}. A batch has one kind.`);
      this.#ids.add(customId);
      this.#lines.push({ customId, routed });
    } catch (error) {
      if (!(error instanceof PurserError)) throw error;
      throw new PurserError(error.code, `${where}: ${error.message}`, { cause: error });
    }
  }

  all(): readonly BatchLine[] {
    if (this.#lines.length === 0) throw invalid("The batch has no calls.");
    return this.#lines;
  }
}

/** A call as it goes to its provider, which has its text already: nothing of it can be changed any more, its output cap included. */
function lineCall({ gateway, caller, tags }: LineTerms, dialect: Dialect, body: JsonBody): RoutedCall {
  const read = dialect.readCall(body, {});
  if (read.stream) throw invalid('Calls of a batch are not streamed. Remove "stream".');
  if (read.service !== "standard") throw invalid("A batch is a tier of its own. Remove service_tier.");
  const decided = gateway.route(read.model, dialect.name);
  if ("unknown" in decided) throw new PurserError("provider_unknown", decided.unknown);
  const { provider, sentAs } = decided;
  if (sentAs !== read.model)
    throw invalid(`A batch goes to its provider as it is, so its models have their names there. Write "${sentAs}", not "${read.model}".`);
  const noKey = missingKey(provider);
  if (noKey !== undefined || (provider.apiKey === undefined && caller.providerKey !== undefined))
    throw new PurserError(
      "provider_key_missing",
      noKey ??
        `The gateway asks ${provider.name} about a batch when nobody is there, so it needs a key of its own: api_key under providers.`,
    );
  const call: ModelCall = { ...read, service: "batch", tags: { ...tags, ...read.tags } };
  const terms = callTerms(gateway, caller, decided, { dialect, call });
  const budgeted = budgetedCall(terms);
  const whole = { ...budgeted, call: { ...budgeted.call, outputLeast: budgeted.outputTokensMost } };
  return routedCall(whole, caller, { provider }, {});
}
