import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { RedisStore } from "@purser/core/stores/redis";
import { type Answer, call, type Gateway } from "./several-gateways.ts";
import { highWater, readLedger } from "./stand.ts";

/** Calls on shared budgets of five levels, through several gateways, and what must be true of them afterwards. */

export const CALLS = 5_000;
const AT_ONCE = 500;
/** Of one call: 11 tokens of input and 7 of output, at $3 and $15 for a million. */
export const COST = 138_000;
/** Five levels, each of which refuses some calls: the company has room for 1,449 of them. */
export const BUDGETS = `[
  { name: company, limits: [$0.2 / year] },
  { name: team, per: team, limits: [$0.08 / month] },
  { name: chat, for: { feature: chat }, limits: [11k tokens] },
  { name: small, for: { model: small }, limits: [$0.045 / day] },
  { name: user, per: user, limits: [10 requests / day, 5 concurrent] } ]`.replaceAll("\n", " ");
/** Of every counter, by its budget and unit. */
export const LIMITS: Readonly<Record<string, number>> = {
  "company nanodollars": 200_000_000,
  "team nanodollars": 80_000_000,
  "chat tokens": 11_000,
  "small nanodollars": 45_000_000,
  "user requests": 10,
  "user concurrent": 5,
};
/** A client that is told to come back soon does, as SDKs do; what a dead gateway held stays held, so some give up. */
export const TRIES = { forever: 5_000, some: 15 };

/** Who makes a call, as its attributes and its provider see it: most of one team, half for chat, a quarter of the small model. */
function callerOf(i: number) {
  return {
    user: `user-${Math.floor(i / 20)}`,
    team: i % 10 < 5 ? "team-0" : `team-${i % 5}`,
    feature: i % 2 === 0 ? "chat" : "search",
    model: i % 4 === 0 ? "small" : "large",
  };
}

/** How many of a budget's calls the provider was asked for; of the team that calls most. */
const COUNTED: Readonly<Record<string, (label: string) => boolean>> = {
  company: () => true,
  team: (label) => label.includes(" team-0 "),
  chat: (label) => label.includes(" chat "),
  small: (label) => label.includes(" small"),
};
const ROOM: Readonly<Record<string, number>> = {
  company: 200_000_000 / COST,
  team: 80_000_000 / COST,
  chat: 11_000 / 18,
  small: 45_000_000 / COST,
};

export interface Outcome {
  served: number;
  refused: number;
  gaveUp: number;
  /** What part of each budget was used when it first refused a call for good. */
  readonly usedAtFirstRefusal: Map<string, number>;
}

interface CallingOptions {
  /** After how many a caller gives up. */
  readonly tries: number;
  readonly calls?: number;
  readonly atOnce?: number;
}

/** Makes all calls, over all gateways, and each again until it is served, refused for good, or tired. */
export async function callAll(
  agent: Agent,
  gateways: readonly Gateway[],
  asked: readonly string[],
  options: CallingOptions,
): Promise<Outcome> {
  const { tries, calls = CALLS, atOnce = AT_ONCE } = options;
  const outcome: Outcome = { served: 0, refused: 0, gaveUp: 0, usedAtFirstRefusal: new Map() };
  const make = async (i: number): Promise<Answer | undefined> => {
    const { user, team, feature, model } = callerOf(i);
    const headers = { "x-purser-user": user, "x-purser-team": team, "x-purser-feature": feature };
    for (let n = 0; n < tries; n++) {
      const gateway = gateways[(i + n) % gateways.length] as Gateway;
      const answer = await call(agent, gateway, `${user} ${team} ${feature} ${model}`, { model, headers });
      if (answer?.status === 200 || answer?.status === 402) return answer;
      assert.ok(answer === undefined || [429, 503].includes(answer.status), answer?.body);
      await sleep(20);
    }
    return undefined;
  };
  let next = 0;
  const makeSome = async () => {
    while (next < calls) {
      const answer = await make(next++);
      if (answer === undefined) outcome.gaveUp++;
      else if (answer.status === 200) outcome.served++;
      else {
        outcome.refused++;
        const { name } = (JSON.parse(answer.body) as { error: { budget: { name: string } } }).error.budget;
        const counted = COUNTED[name];
        if (!counted || outcome.usedAtFirstRefusal.has(name)) continue;
        outcome.usedAtFirstRefusal.set(name, asked.filter(counted).length / (ROOM[name] as number));
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, makeSome));
  return outcome;
}

/** At no entry of the ledger had a limit more spent and held than it allows; what the provider was asked for fits each of them too. */
export async function checkNeverOver(store: RedisStore, asked: readonly string[]): Promise<void> {
  assert.deepEqual(await store.audit(), []);
  for (const [key, most] of highWater(await readLedger(store, []))) {
    const [budget, limit = ""] = key.split("|");
    const allowed = LIMITS[`${budget} ${limit.slice(0, limit.indexOf("/"))}`];
    assert.ok(allowed !== undefined && most <= allowed, `${key} had ${most} of ${allowed}`);
  }
  for (const [budget, counted] of Object.entries(COUNTED)) assert.ok(asked.filter(counted).length <= (ROOM[budget] as number), budget);
  const calls = new Map<string, number>();
  for (const label of asked) calls.set(label.split(" ")[0] as string, (calls.get(label.split(" ")[0] as string) ?? 0) + 1);
  assert.ok(
    [...calls.values()].every((count) => count <= 10),
    "no user has more than its ten requests",
  );
}
