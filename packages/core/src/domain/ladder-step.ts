import type { Rung } from "./ladder.ts";
import { capacityOf, formatAmount, formatLimit, type Limit, parseLimit, type Unit } from "./limit.ts";
import { isBrief, windowName } from "./window.ts";

/** Rungs that hold from a share or an amount of a limit on that is spent or held. */
export interface LadderStep {
  /** In hundredths of a per cent: 8500 is 85 %. Of an amount the share of the limit as the budget has it; what is in force may be another. */
  readonly from: number;
  /** What is spent, or left, where the step says that and no share. */
  readonly amount?: StepAmount;
  readonly rungs: readonly Rung[];
  /** What it is a part of, as it was written: `$ / month`. Left out where that was not said. */
  readonly of?: string;
  /** Of these limits the fullest one says how far the step is. */
  readonly measures: readonly MeasuredLimit[];
}

/** So much of one limit that is spent, held or left. */
export interface StepAmount {
  readonly value: number;
  readonly unit: Unit;
  readonly isLeft: boolean;
  /** As it was written: `$400`, `80k tokens`. */
  readonly text: string;
}

/** A limit of a budget, as its balances name it. */
export interface MeasuredLimit {
  readonly unit: Unit;
  /** `month`, `rolling 1d`, `minute bucket`, `lifetime`. */
  readonly window: string;
}

/** How far a budget can be used: what is never reached is a mistake. */
export interface StepBounds {
  /** Whether calls are refused where a limit is reached. */
  readonly isEnforced: boolean;
  /** The most that a limit can come to, for any of its subjects. */
  most(limit: Limit): number;
}

export const FULL = 10_000;
export const ENFORCED: StepBounds = { isEnforced: true, most: capacityOf };

type StepStart = Pick<LadderStep, "from" | "amount" | "of" | "measures">;

/** Reads where a step begins: `85%`, `85% of $ / month`, `$400`, `80k tokens of tokens / day`, `$20 left`. Throws with what to do. */
export function parseStep(key: string, limits: readonly Limit[], bounds: StepBounds, invalid: (what: string) => Error): StepStart {
  const [, text = "", of] = /^(.*?)(?:\s+of\s+(.+))?$/s.exec(key.trim()) ?? [];
  const part = of?.replace(/\s+/g, " ");
  const share = readShare(text);
  if (share === undefined && AMOUNT.test(text)) return new AmountReader({ key, limits, bounds, invalid }).read(text, part);
  if (share === undefined)
    throw invalid(`"${key}" is not a share of a limit from 0% to 100%, nor an amount such as $400, 80k tokens or $20 left.`);
  if (share > FULL && bounds.isEnforced)
    throw invalid(
      `"${key}" is not a share of a limit that is ever reached: the budget refuses calls at 100%. Write at most 100%, or let it only observe (mode: observe).`,
    );
  const measures = part === undefined ? usuallyMeasured(limits) : chosen(part, { key, limits, invalid });
  return { from: share, ...(part !== undefined && { of: part }), measures: measures.map(measuredLimit) };
}

/** `$400`, `80k tokens`, with `left` behind it or not. A number alone would leave open of what. */
const AMOUNT = /^(?:\$|[\d.,_]+\s*[kmb]?\s+[a-z])/i;

interface Reading {
  readonly key: string;
  readonly limits: readonly Limit[];
  readonly invalid: (what: string) => Error;
}

/** Reads a step that begins at an amount: it is one of a single limit. */
class AmountReader {
  readonly #reading: Reading;
  readonly #bounds: StepBounds;

  constructor({ bounds, ...reading }: Reading & { readonly bounds: StepBounds }) {
    this.#reading = reading;
    this.#bounds = bounds;
  }

  read(text: string, of: string | undefined): StepStart {
    const [, written = "", left] = /^(.*?)(\s+left)?$/is.exec(text) ?? [];
    const { amount: value, unit } = this.#parse(written);
    const amount: StepAmount = { value, unit, isLeft: left !== undefined, text: written.trim().replace(/\s+/g, " ") };
    const limit = this.#limitOf(amount, of);
    const start = { from: 0, amount, ...(of !== undefined && { of }), measures: [measuredLimit(limit)] };
    return { ...start, from: shareFrom(start, capacityOf(limit)) };
  }

  #parse(text: string): Limit {
    const { key, invalid } = this.#reading;
    const [, amount = "", unit = "", window] = /^(\$?[\d.,_]+\s*[kmb]?)\s*([a-z ]*?)\s*\/\s*(.*)$/is.exec(text) ?? [];
    if (window !== undefined)
      throw invalid(`"${key}": write \`${`${amount} ${unit}`.trim()} of ${unit === "" ? "$" : unit} / ${window}\`.`);
    try {
      return parseLimit(text, "UTC");
    } catch (cause) {
      throw invalid(`"${key}" is no amount. ${(cause as Error).message}`);
    }
  }

  /** The one limit that is meant. */
  #limitOf(amount: StepAmount, of: string | undefined): Limit {
    const { key, limits, invalid } = this.#reading;
    const named = of === undefined ? this.#usual(amount.unit) : this.#named(amount, of);
    if (named.length === 0) {
      const names = limits.filter(({ unit }) => unit !== "concurrent").map(formatLimit);
      const such =
        names.length === 0 ? "it has none." : `these are ${names.join(", ")}. Write an amount of one of them, or a share, such as 80%.`;
      throw invalid(`"${key}" is an amount of no limit of the budget on money, tokens or requests: ${such}`);
    }
    const reachable = named.filter((limit) => this.#isReachable(amount, limit));
    const [limit, other] = reachable.length > 0 ? reachable : named.toSorted((a, b) => this.#bounds.most(b) - this.#bounds.most(a));
    if (reachable.length === 0) throw this.#unreachable(amount, limit as Limit);
    if (other !== undefined)
      throw invalid(
        `"${key}" can be an amount of ${reachable.map(formatLimit).join(" and of ")}. Say of which: ${reachable.map((one) => `\`${key.trim()} of ${nameOf(one)}\``).join(" or ")}.`,
      );
    return limit as Limit;
  }

  #usual(unit: Unit): readonly Limit[] {
    const { limits } = this.#reading;
    const usual = usuallyMeasured(limits).filter((limit) => limit.unit === unit);
    return usual.length > 0 ? usual : limits.filter((limit) => limit.unit === unit && unit !== "concurrent");
  }

  #named({ unit }: StepAmount, of: string): readonly Limit[] {
    const found = chosen(of, this.#reading);
    const [first] = found;
    if (first && first.unit !== unit)
      throw this.#reading.invalid(
        `"${this.#reading.key}": that is an amount of ${unitName(unit)}, and a limit on ${unitName(first.unit)}.`,
      );
    const lifetime = found.filter(({ window }) => window.kind === "lifetime");
    return lifetime.length > 0 ? lifetime : found;
  }

  #isReachable({ value, isLeft }: StepAmount, limit: Limit): boolean {
    if (isLeft) return value <= this.#bounds.most(limit);
    return !this.#bounds.isEnforced || value <= this.#bounds.most(limit);
  }

  #unreachable({ unit, isLeft }: StepAmount, limit: Limit): Error {
    const { key, invalid } = this.#reading;
    const most = formatAmount(this.#bounds.most(limit), unit);
    if (isLeft)
      return invalid(`"${key}" holds always: there is never more left of ${formatLimit(limit)}. Write at most ${most} left, or 0%.`);
    return invalid(
      `"${key}" is never reached: of ${formatLimit(limit)} the budget lets nobody use more than ${most}. Write at most ${most}, or let it only observe (mode: observe).`,
    );
  }
}

function unitName(unit: Unit): string {
  return unit === "nanodollars" ? "money" : unit.replace("_", " ");
}

/** `$ / month`, `tokens / minute bucket`. */
function nameOf({ unit, window }: Limit): string {
  const name = unit === "nanodollars" ? "$" : unit.replace("_", " ");
  return window.kind === "lifetime" ? name : `${name} / ${windowName(window)}`;
}

function measuredLimit({ unit, window }: Limit): MeasuredLimit {
  return { unit, window: windowName(window) };
}

/** Calls at once come and go, and a busy minute is no reason to answer worse where longer windows say how much is left. */
function usuallyMeasured(limits: readonly Limit[]): readonly Limit[] {
  const measurable = limits.filter(({ unit }) => unit !== "concurrent");
  const long = measurable.filter(({ window }) => !isBrief(window));
  return long.length > 0 ? long : measurable;
}

/** The limits that are meant by `$`, `tokens / day` or `requests / minute bucket`. */
function chosen(of: string, { key, limits, invalid }: Reading): readonly Limit[] {
  const { unit, window } = readChoice(of, key, invalid);
  const isNamed = of.includes("/");
  const found = limits.filter((limit) => limit.unit === unit && (!isNamed || windowName(limit.window) === windowName(window)));
  if (found.length > 0 && unit !== "concurrent") return found;
  const names = usuallyMeasured(limits).length > 0 ? limits.filter((limit) => limit.unit !== "concurrent").map(formatLimit) : ["none"];
  throw invalid(`"${key}": it can be a share of the budget's limits on money, tokens and requests, which are ${names.join(", ")}.`);
}

/** Written like a limit without its amount. */
function readChoice(of: string, key: string, invalid: (what: string) => Error): Limit {
  try {
    return parseLimit(of.startsWith("$") ? `$1${of.slice(1)}` : `1 ${of}`, "UTC");
  } catch {
    throw invalid(`"${key}": "${of}" is no limit. Write \`of $\`, \`of tokens / day\` or \`of requests / minute bucket\`.`);
  }
}

/** `85%` in hundredths of a per cent; nothing where it is no percentage. */
export function readShare(text: string): number | undefined {
  const match = /^(\d{1,3})(?:\.(\d{1,2}))?\s*%$/.exec(text.trim());
  return match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : undefined;
}

/** `85%`. */
export function shareText(share: number): string {
  return `${share / 100}%`;
}

type Written = Pick<LadderStep, "from" | "amount" | "of">;

/** A step as it is written: `85%`, `85% of $ / month`, `$20 left`. */
export function stepText({ from, amount, of }: Written): string {
  const left = amount?.isLeft ? " left" : "";
  const start = amount === undefined ? shareText(from) : `${amount.text}${left}`;
  return of === undefined ? start : `${start} of ${of}`;
}

/** When a step holds, in a sentence: `from 85% on`, `when $20 is left`. */
export function stepPhrase(step: Written): string {
  const { amount, of } = step;
  if (!amount?.isLeft) return `from ${stepText(step)} on`;
  return `when ${amount.text}${of === undefined ? "" : ` of ${of}`} ${amount.unit === "nanodollars" || amount.value === 1 ? "is" : "are"} left`;
}

/** What tells a step from others, however it is written. */
export function stepId({ from, amount, measures: limits }: Pick<LadderStep, "from" | "amount" | "measures">): string {
  return JSON.stringify(amount === undefined ? [from, limits] : [amount.value, amount.isLeft, limits]);
}

/** Whether a balance is one that says how far a step is. */
export function measures({ measures: limits }: Pick<LadderStep, "measures">, { unit, window }: MeasuredLimit): boolean {
  return limits.some((limit) => limit.unit === unit && limit.window === window);
}

interface UsedAmount {
  readonly spent: number;
  readonly held: number;
}

/** How much of a limit is spent or held, in hundredths of a per cent. Of a limit of nothing, all is. */
export function shareOf({ spent, held }: UsedAmount, limit: number): number {
  return limit === 0 ? FULL : ((spent + held) / limit) * FULL;
}

/** From which share on of the amount in force a step holds, in hundredths of a per cent. */
export function shareFrom({ from, amount }: Pick<LadderStep, "from" | "amount">, limit: number): number {
  if (amount === undefined) return from;
  const used = amount.isLeft ? Math.max(0, limit - amount.value) : amount.value;
  if (limit === 0) return used === 0 ? FULL : Number.POSITIVE_INFINITY;
  return (used / limit) * FULL;
}

/** How far a balance is beyond the beginning of a step, in hundredths of a per cent of its limit; below 0 where it is not there yet. */
export function beyondStep(step: Pick<LadderStep, "from" | "amount">, used: UsedAmount, limit: number): number {
  const { from, amount } = step;
  if (amount === undefined) return shareOf(used, limit) - from;
  // Amounts are compared as they are, so that the last unit counts.
  const more = used.spent + used.held - (amount.isLeft ? limit - amount.value : amount.value);
  if (limit === 0) return more < 0 ? Number.NEGATIVE_INFINITY : 0;
  return (more / limit) * FULL;
}
