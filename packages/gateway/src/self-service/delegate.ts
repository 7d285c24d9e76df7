import { randomBytes } from "node:crypto";
import {
  type Balance,
  durationPhrase,
  formatAmount,
  formatDollars,
  type Limit,
  PurserError,
  parseDuration,
  parseLimit,
  type Unit,
} from "@purser/core";
import { balanceJson } from "../admin/balances.ts";
import { type Delegation, poolName, sealDelegated } from "../callers/delegation.ts";
import type { Caller } from "../callers/identify.ts";
import type { Keys } from "../callers/key.ts";
import type { Gateway } from "../gateway.ts";

/** Agents of agents of agents: whoever needs more of them has a loop. */
const DEPTH_MOST = 8;
const USUAL_MS = 24 * 3_600_000;
const LONGEST_MS = 30 * 24 * 3_600_000;
const FAN_OUT_MOST = 1_000;
/** What can be divided: calls at once are not used up. */
const DIVIDED: readonly Unit[] = ["nanodollars", "tokens"];
const FIELDS = ["name", "limits", "fan_out", "for"];

export interface DelegationJson {
  readonly id: string;
  readonly name: string;
  readonly budget: string;
  /** Shown once. Whoever has it makes calls with it as with any key. */
  readonly key: string;
  readonly limits: readonly string[];
  readonly until: string;
  /** What the caller's own budgets have left: the delegated key draws on them too. */
  readonly data: readonly object[];
}

/** Hands a part of what a caller may spend on to an agent of its own, as a key. Throws `body_invalid` or `limit_invalid` with what to do. */
export async function delegate(
  { budgets }: Pick<Gateway, "budgets">,
  keys: Pick<Keys, "signing">,
  caller: Caller,
  body: unknown,
  now: number,
): Promise<DelegationJson> {
  const signing = caller.key && keys.signing(caller.key.id, now);
  if (!caller.key || !signing)
    throw new PurserError("key_missing", "A part of a budget is handed on by a caller with a key. Make one: purser keys create.");
  if (caller.key.role === "viewer")
    throw new PurserError("key_invalid", `The key "${caller.key.name}" makes no calls, so it has nothing to hand on.`);
  const input = fieldsOf(body);
  const chain = caller.delegated?.chain ?? [];
  if (chain.length >= DEPTH_MOST)
    throw invalid(`${DEPTH_MOST} delegations follow one another here already, and no more may. Look for a loop.`);
  const { subject, pools } = caller;
  const balances = await budgets.balances({ subject, pools });
  const limits = limitsOf(input, balances);
  checkWithin(limits, chain);
  const ends = [now + lengthOf(input), ...chain.map(({ until }) => until), caller.key.expiresAt ?? Number.POSITIVE_INFINITY];
  const made: Delegation = { id: `del_${randomBytes(9).toString("base64url")}`, name: nameOf(input), limits, until: Math.min(...ends) };
  const delegated = { key: caller.key.id, subject: subjectOf(caller, made), chain: [...chain, made] };
  return {
    id: made.id,
    name: made.name,
    budget: poolName(made),
    key: sealDelegated(delegated, signing.seal()),
    limits,
    until: new Date(made.until).toISOString(),
    data: balances.map(balanceJson),
  };
}

/** All agents of one task are in its budgets, and each shows in reports by the path of its names: `tag.agent`. */
function subjectOf({ subject, delegated }: Caller, { id, name }: Delegation): Caller["subject"] {
  const { task = id, tags = {} } = subject;
  const path = delegated ? `${tags.agent}/${name}` : name;
  const agent = delegated || tags.agent === undefined ? path.slice(-256) : tags.agent;
  return { ...subject, task, tags: { ...tags, agent } };
}

function limitsOf({ limits, fan_out: fanOut }: Record<string, unknown>, balances: readonly Balance[]): readonly string[] {
  if ((limits === undefined) === (fanOut === undefined))
    throw invalid(
      'Say how much: either limits, such as ["$2", "200k tokens"], or fan_out, so that each of so many agents gets its part of what is left.',
    );
  if (fanOut === undefined) return checkedLimits(typeof limits === "string" ? [limits] : limits);
  if (typeof fanOut !== "number" || !Number.isInteger(fanOut) || fanOut < 1 || fanOut > FAN_OUT_MOST)
    throw invalid(`fan_out is how many agents share what is left: a whole number from 1 to ${FAN_OUT_MOST.toLocaleString("en-US")}.`);
  const parts = DIVIDED.flatMap((unit) => {
    const left = balances.filter((balance) => balance.unit === unit).map((balance) => balance.left);
    if (left.length === 0) return [];
    const part = Math.floor(Math.min(...left) / fanOut);
    return unit === "nanodollars" ? [formatDollars(part)] : [`${part} tokens`];
  });
  if (parts.length > 0) return parts;
  throw invalid("No budget limits what you spend, so there is nothing to divide. Give limits.");
}

function checkedLimits(limits: unknown): readonly string[] {
  if (!Array.isArray(limits) || limits.length === 0 || !limits.every((limit) => typeof limit === "string"))
    throw invalid('limits is a list of amounts: ["$2", "200k tokens"].');
  const units = new Set<Unit>();
  for (const text of limits as readonly string[]) {
    const { unit, window } = limitOf(text);
    if (window.kind !== "lifetime")
      throw invalid(`"${text}" has a window, and what is handed on is there once. Leave out what follows the slash.`);
    if (units.has(unit)) throw invalid(`"${text}" is the second limit of its unit. Keep the smaller one.`);
    units.add(unit);
  }
  return limits as readonly string[];
}

function limitOf(text: string): Limit {
  try {
    return parseLimit(text, "UTC");
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

/** Nobody hands on more than they were given. */
function checkWithin(limits: readonly string[], chain: readonly Delegation[]): void {
  const given = chain.flatMap(({ name, limits: texts }) => texts.map((text) => ({ name, ...parseLimit(text, "UTC") })));
  for (const text of limits) {
    const { unit, amount } = parseLimit(text, "UTC");
    const smaller = given.find((one) => one.unit === unit && one.amount < amount);
    if (smaller) throw invalid(`"${text}" is more than "${smaller.name}" has, which is ${formatAmount(smaller.amount, unit)}.`);
  }
}

function lengthOf({ for: length }: Record<string, unknown>): number {
  if (length === undefined) return USUAL_MS;
  const ms = typeof length === "string" ? parseDuration(length) : undefined;
  if (ms !== undefined && ms > 0 && ms <= LONGEST_MS) return ms;
  throw invalid(`for is how long it holds, up to ${durationPhrase(LONGEST_MS)}: "2h", "30m". A day where it is left out.`);
}

function nameOf({ name }: Record<string, unknown>): string {
  if (typeof name === "string" && /^[\w.:-]{1,64}$/.test(name)) return name;
  throw invalid("name is what the agent is called in reports: 1 to 64 letters, digits and any of . : _ -");
}

function fieldsOf(body: unknown): Record<string, unknown> {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw invalid('The body is an object: { "name": "research", "limits": ["$2"] }.');
  const unknown = Object.keys(body).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown}" is no field here. Fields are ${FIELDS.join(", ")}.`);
  return body as Record<string, unknown>;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
