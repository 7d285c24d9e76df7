import { costOf, type RateCard, type ServiceTier, type Subject, type Usage } from "@purser/core";
import { requiredText } from "../dialects/body-fields.ts";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import type { DialectName } from "../providers/provider.ts";
import { CALLS } from "../routes.ts";

/** A call that was made once, as far as numbers say what it was. */
export interface RecordedCall {
  /** Epoch milliseconds. */
  readonly at: number;
  /** Who made it, without where it went. */
  readonly subject: Subject;
  readonly endpoint: DialectName;
  /** The provider that it went to; none where the record does not say. */
  readonly provider: string | undefined;
  /** The model that was asked for. */
  readonly model: string;
  /** A mode that is priced as a model of its own. */
  readonly priceVariant: string | undefined;
  readonly service: ServiceTier;
  readonly usage: Usage & { readonly inputTokens: number; readonly outputTokens: number };
  /** The most input that was held for it; what it used, where the record does not say. */
  readonly inputTokensHeld: number;
  /** The caller's own cap for the whole answer; none where the record does not say. */
  readonly outputCap: number | undefined;
  readonly durationMs: number;
  /** Its end is unknown: it was charged at its estimate when its lease ran out. */
  readonly isLost: boolean;
  /** What it cost, where the record says so. */
  readonly cost: number | undefined;
}

/** How long an answer takes where no record says so: half a second, and then 50 tokens a second. */
export function usualDurationMs(outputTokens: number): number {
  return 500 + 20 * outputTokens;
}

const NAMES: ReadonlyMap<DialectName, Dialect> = new Map([...CALLS.values()].filter(({ isFree }) => !isFree).map((one) => [one.name, one]));

/**
 * A recorded call as a format of its own: its body says which model it asks for, and its sizes are those that were recorded. So ladders do
 * with it what they do with any other call. It has no conversation: nobody recorded what was said.
 */
export function recordedDialect(recorded: RecordedCall): Dialect {
  const { turns: _, finish: _f, writeAnswer: _a, writeEnd: _e, ...form } = openaiChat;
  const { writeAnswer, finish } = NAMES.get(recorded.endpoint) ?? {};
  return {
    ...form,
    name: recorded.endpoint,
    readCall: (body) => readRecorded(recorded, { body, model: requiredText(body, "model") }),
    countable: ({ opaqueTokens }) => ({ texts: [], messages: 0, opaqueTokens }),
    inFormat: (endpoint) => recordedDialect({ ...recorded, endpoint }),
    usesCache: () => (recorded.usage.cacheReadInputTokens ?? 0) > 0,
    ...(writeAnswer && { writeAnswer }),
    // Nobody recorded what was said, so nothing is added to it.
    ...(finish && { finish: () => new Map() }),
  };
}

/** The body that a recorded call has in its format. */
export function recordedBody(model: string): ModelCall["body"] {
  return readJsonBody(Buffer.from(JSON.stringify({ model })));
}

function readRecorded(recorded: RecordedCall, { body, model }: Pick<ModelCall, "body" | "model">): ModelCall {
  return {
    body,
    model,
    stream: false,
    outputCap: recorded.outputCap,
    outputLeast: 1,
    copies: 1,
    messages: 0,
    tools: 0,
    images: [],
    opaqueTokens: recorded.inputTokensHeld,
    hidesInput: false,
    toolCalls: recorded.usage.toolCalls ?? {},
    user: undefined,
    tags: {},
    wantsUsage: true,
    hidesReasoning: false,
    service: recorded.service,
    priceVariant: recorded.priceVariant,
  };
}

/** What a simulated provider uses for a call whose answer ends at this cap: the answer that was recorded, or its beginning. */
export function usageUpTo({ usage }: RecordedCall, outputTokensMost: number): Usage {
  const most = (tokens: number | undefined) => (tokens === undefined ? undefined : Math.min(tokens, outputTokensMost));
  if (usage.outputTokens <= outputTokensMost) return usage;
  return {
    ...usage,
    outputTokens: outputTokensMost,
    ...(usage.reasoningOutputTokens !== undefined && { reasoningOutputTokens: most(usage.reasoningOutputTokens) as number }),
    ...(usage.audioOutputTokens !== undefined && { audioOutputTokens: most(usage.audioOutputTokens) as number }),
    ...(usage.imageOutputTokens !== undefined && { imageOutputTokens: most(usage.imageOutputTokens) as number }),
  };
}

/** What a recorded call cost: as the record says, or else by its price. */
export function costAsItWas({ cost, usage, service }: RecordedCall, card: RateCard | undefined): number | undefined {
  return cost ?? (card && costOf(card, usage, service));
}
