import type { Command } from "../domain/command.ts";
import { apply } from "../domain/engine.ts";
import type { CallDetail, Charge, Entry } from "../domain/ledger.ts";
import type { RungSaving } from "../domain/saving.ts";
import { createState } from "../domain/state.ts";
import type { Subject } from "../domain/subject.ts";
import { LEDGER_PAGE, matchesQuery, type Store } from "../stores/store.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "./sample-calls.ts";

export interface SampleLedgerOptions {
  readonly seed?: number;
  /** How many entries at least. */
  readonly count: number;
  /** Epoch milliseconds. */
  readonly since: number;
  readonly until: number;
}

const TEAMS = [undefined, "search", "support", "ops\twith\ttabs", "", "naïve 😀", "back\\slash"];
const FEATURES = [undefined, "chat", "batch"];
const MODELS = ["gpt-4o", "GPT-4o", "claude-sonnet-4-6", "local/llama"];
const CUSTOMERS = [undefined, "acme", 'with "quotes" and\nlines'];

/** What a store would have written in a time of random traffic: every kind of entry, in order. The same for the same seed. */
export function sampleLedger({ seed = 1, count, since, until }: SampleLedgerOptions): readonly Entry[] {
  const random = seededRandom(seed);
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const state = createState();
  const entries: Entry[] = [];
  const open: string[] = [];
  const expired: string[] = [];
  const limits = [sampleLimit({ amount: 1e12 }), sampleLimit({ budget: "team", unit: "nanodollars", amount: 1e15, resetsAt: until })];
  const run = (command: Command, at: number) => entries.push(...apply(state, command, at).entries);
  for (let call = 0; entries.length < count; call++) {
    const at = Math.floor(since + ((until - since) * entries.length) / (count + 1));
    const id = `call-${seed}-${call}`;
    const subject = sampleSubject(pick, random);
    const chance = random();
    if (chance < 0.1) {
      const detail = { ...sampleCall({ id, limits, input: 5 }).detail, subject, ...chargedAs(subject) };
      if (chance > 0.09) {
        const known = { rung: "cache 10m (company 50%)", budget: "company", saved: Math.floor(random() * 1e6) };
        run({ kind: "record", entry: { kind: "answered", reservation: id, postings: [], detail, known } }, at);
        continue;
      }
      const refusedBy = { budget: "company", unit: "tokens", window: "day" } as const;
      const readyText = chance < 0.01 && { readyText: "answer (company)" };
      const denial = {
        reason: "budget_exhausted",
        message: "No.",
        detail: chance < 0.02 ? { ...detail, refusedBy, ...readyText } : detail,
        ...(chance < 0.03 && { times: 1 + Math.floor(random() * 9) }),
      } as const;
      run({ kind: "record", entry: { kind: "denied", reservation: id, postings: [], ...denial } }, at);
      continue;
    }
    const asked = sampleCall({ id, limits, input: Math.floor(random() * 2_000), output: Math.floor(random() * 500), leaseMs: 1_000 });
    run(
      { kind: "reserve", ...asked, detail: { ...asked.detail, subject, ...chargedAs(subject), price: chance < 0.2 ? undefined : "test" } },
      at,
    );
    open.push(id);
    if (chance < 0.25) continue;
    const ending = pick(open);
    open.splice(open.indexOf(ending), 1);
    if (chance < 0.3) run({ kind: "release", id: ending, why: "never sent" }, at);
    else if (chance < 0.33) {
      const { asks } = sampleCall({ id: ending, limits, input: 5 });
      run({ kind: "extend", id: ending, leaseMs: 2_000, more: { limits, asks, output: { least: 1, most: 3_000 } } }, at);
    } else if (chance < 0.35) run({ kind: "extend", id: ending, leaseMs: 2_000 }, at);
    else if (chance < 0.4) {
      run({ kind: "expire", all: true }, at);
      expired.push(...open.splice(0), ending);
    } else run(settlement(ending, random), at);
    if (expired.length > 0 && chance > 0.8) run(settlement(expired.pop() as string, random), at);
  }
  return entries;
}

function sampleSubject(pick: <Item>(items: readonly Item[]) => Item, random: () => number): Subject {
  const named = { team: pick(TEAMS), feature: pick(FEATURES), user: `user-${Math.floor(random() * 20)}`, model: pick(MODELS) };
  const customer = pick(CUSTOMERS);
  const known = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
  return { ...known, provider: "demo", ...(customer !== undefined && { tags: { customer } }) };
}

/** Some teams have a cost centre, some features an owner. */
function chargedAs({ team, feature }: Subject): Pick<CallDetail, "chargedTo"> {
  const costCenter = team === "search" || team === "naïve 😀" ? `CC ${team}` : undefined;
  const owner = feature === "chat" ? "kim@example.com" : undefined;
  if (costCenter === undefined && owner === undefined) return {};
  return { chargedTo: { ...(costCenter !== undefined && { costCenter }), ...(owner !== undefined && { owner }) } };
}

function settlement(id: string, random: () => number): Command {
  const [input, output] = [Math.floor(random() * 2_500), Math.floor(random() * 700)];
  const { amounts, charge } = sampleSettlement(id, input, output);
  const cached = Math.floor(input / 3);
  const usage = { ...charge.usage, cacheReadInputTokens: cached, reasoningOutputTokens: Math.floor(output / 2) };
  const luck = random();
  const certainty = luck < 0.1 ? "unconfirmed" : luck < 0.2 ? "estimated" : "confirmed";
  const known: Charge = {
    ...charge,
    usage: random() < 0.1 ? { ...usage, besides: { inputTokens: 7, cacheReadInputTokens: 3 } } : usage,
    certainty,
    resent: { inputTokens: input - cached, cacheReadInputTokens: cached % 7, cost: input, unchangedInputTokens: cached },
    ...(luck < 0.4 && { savings: sampleSavings(input, output) }),
  };
  return { kind: "settle", id, amounts, charge: random() < 0.1 ? { ...known, cost: undefined } : known };
}

/** As if a ladder had chosen another model, left something out, and shortened the answer; below 0 where much was read from the cache. */
function sampleSavings(input: number, output: number): readonly RungSaving[] {
  const cut = { budget: "company", rung: "trim 1000", leftOutTokens: input, saved: output - 100 };
  const use = { budget: 'with\ttabs, (brackets), "quotes" and 😀', rung: "use demo-2", saved: input };
  return input % 2 === 0
    ? [use, cut]
    : [
        { ...cut, rung: "summarise 1000 with demo-2", spent: output },
        { budget: "company", rung: "shorten 40" },
      ];
}

/** Those of a list, as a store that has them would read them. */
export function sampleJournal(entries: readonly Entry[]): Pick<Store, "entries"> {
  return {
    entries: async (query) => {
      const matching = entries.filter((entry) => matchesQuery(entry, query));
      const most = query.most ?? LEDGER_PAGE;
      return query.newest ? matching.slice(-most) : matching.slice(0, most);
    },
  };
}

/** Mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
