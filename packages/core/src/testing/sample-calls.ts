import type { Amounts, Ask, Asks, BoundLimit, ReserveCommand, SettleCommand } from "../domain/command.ts";
import type { CallDetail, Certainty, CounterRef, Grant } from "../domain/ledger.ts";
import type { Unit } from "../domain/limit.ts";
import type { Resent } from "../domain/resent.ts";
import type { Rule } from "../domain/slices.ts";
import type { Usage } from "../domain/usage.ts";
import { type WeightsInput, weighedWindow, weightsFor } from "../domain/weights.ts";

/** Reserve and settle commands for tests, as short as what matters in them. */

const NOTHING: Ask = { base: 0, perOutputToken: 0, scale: 1 };

/** What a call of so many tokens asks: money at 3 nano-dollars for 2 tokens, so that it does not come out even. */
function sampleAsks(inputTokens: number): Asks {
  return {
    nanodollars: { base: 3 * inputTokens, perOutputToken: 3, scale: 2 },
    tokens: { base: inputTokens, perOutputToken: 1, scale: 1 },
    input_tokens: { ...NOTHING, base: inputTokens },
    output_tokens: { ...NOTHING, perOutputToken: 1 },
    requests: { ...NOTHING, base: 1 },
    concurrent: { ...NOTHING, base: 1 },
  };
}

export interface SampleLimit {
  readonly budget?: string;
  readonly unit?: Unit;
  readonly amount: number;
  readonly enforced?: boolean;
  readonly observedUntil?: number;
  readonly resetsAt?: number;
  readonly weights?: WeightsInput;
}

/** A limit of one budget; in tokens, for its whole life and enforced, where nothing else is said. */
export function sampleLimit({
  budget = "company",
  unit = "tokens",
  amount,
  enforced = true,
  observedUntil,
  resetsAt,
  weights = {},
}: SampleLimit): BoundLimit {
  const window = weighedWindow(weightsFor(unit, weights), resetsAt === undefined ? "lifetime" : "day@UTC");
  const startsAt = resetsAt === undefined ? 0 : resetsAt - 86_400_000;
  const key = [budget, `${unit}/${window}`, "", startsAt].join("|");
  const counter: CounterRef = { key, budget, subject: "", unit, window, startsAt, resetsAt };
  return { counter, amount, enforced, ...(observedUntil !== undefined && { observedUntil }) };
}

export interface SampleMovingLimit extends Omit<SampleLimit, "resetsAt"> {
  readonly rule: Rule;
  /** The time whose slice the limit is bound to. */
  readonly at: number;
}

/** A limit whose window moves. */
export function sampleMovingLimit({
  budget = "company",
  unit = "tokens",
  amount,
  enforced = true,
  rule,
  at,
  weights = {},
}: SampleMovingLimit): BoundLimit {
  const window = weighedWindow(weightsFor(unit, weights), rule.kind === "rolling" ? "rolling 1m" : "minute bucket");
  const series = [budget, `${unit}/${window}`, ""].join("|");
  const startsAt = Math.floor(at / rule.sliceMs) * rule.sliceMs;
  const resetsAt = startsAt + rule.sliceMs + (rule.kind === "rolling" ? rule.lengthMs : 3 * rule.periodMs);
  const slice: CounterRef = { key: `${series}|${startsAt}`, budget, subject: "", unit, window, startsAt, resetsAt, series };
  const counter = rule.kind === "bucket" ? { ...slice, drains: rule.drains } : slice;
  return { counter, amount, enforced, rule };
}

/** A grant on the limit that `sampleLimit` makes. */
export function sampleGrant(grant: Pick<Grant, "amount" | "from" | "until"> & Partial<Grant>): Grant {
  return { id: "grant-1", budget: "company", limit: "tokens/lifetime", subject: "", giver: "the owner", why: "a demonstration", ...grant };
}

export interface SampleCall {
  readonly id: string;
  readonly limits: readonly BoundLimit[];
  readonly input?: number;
  readonly output?: number;
  readonly least?: number;
  readonly leaseMs?: number;
  readonly share?: number;
}

/** A call of `input` tokens and at most `output` tokens of answer, held for a minute. */
export function sampleCall(call: SampleCall): Omit<ReserveCommand, "kind"> {
  const { id, limits, input = 0, output = 0, least = output, leaseMs = 60_000, share } = call;
  const detail = sampleDetail(input, output);
  return {
    id,
    limits,
    asks: sampleAsks(input),
    output: { least, most: output },
    ...(share !== undefined && { share }),
    leaseMs,
    detail,
  };
}

export function sampleDetail(inputTokens = 0, outputTokens = 0): CallDetail {
  const subject = { user: "ann", model: "demo-1", tags: { note: "tabs\tand\nlines, and 😀" } };
  return { subject, inputTokens, outputTokens, cost: undefined, counted: true, price: "test", isCapped: false };
}

/** The settlement of a call that used so many tokens, of these kinds. */
export function sampleSettlement(
  id: string,
  inputTokens: number,
  outputTokens = 0,
  kinds: Usage = {},
  certainty: Certainty = "confirmed",
): Omit<SettleCommand, "kind"> {
  const cost = Math.ceil((3 * (inputTokens + outputTokens)) / 2);
  return {
    id,
    amounts: sampleAmounts(inputTokens, outputTokens, cost),
    charge: {
      usage: { ...kinds, inputTokens, outputTokens },
      cost,
      certainty,
      resent: sampleResent(inputTokens),
      savings: [
        { budget: "company", rung: "use demo-2", saved: 2 ** 40 + 1 },
        { budget: "team", rung: "shorten 40" },
      ],
    },
  };
}

/** As if half of the input had been sent before, and a part of that been read from a cache. */
function sampleResent(inputTokens: number): Resent {
  const half = Math.floor(inputTokens / 2);
  return { inputTokens: half, cacheReadInputTokens: Math.floor(half / 3), cost: 2 * half, unchangedInputTokens: half };
}

function sampleAmounts(inputTokens: number, outputTokens: number, nanodollars: number): Amounts {
  return {
    nanodollars,
    tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    requests: 1,
    concurrent: 0,
  };
}
