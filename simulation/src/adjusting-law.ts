import type { CounterRef, Entry, Grant } from "../../packages/core/dist/index.js";
import { isWindowAt } from "./calendar.js";
import type { Configuration, PlannedBudget } from "./plan.js";
import { adjustedLimit, adjustedName } from "./plan-adjusting.js";
import { hold } from "./violation.js";

type Granted = Extract<Entry, { readonly kind: "granted" }>;
type Adjustment = NonNullable<Grant["adjustment"]>;

/** Something that a rule decided, and has not been ended. */
interface Decided {
  readonly grant: Grant & { readonly adjustment: Adjustment };
  readonly seq: number;
}

/**
 * A limit that follows its use stays within the bounds of its rule, changes by a step at a time, and has one decision a period; and what a rule
 * had decided ends with it: no call comes by other limits and by that.
 */
export class AdjustingLaw {
  /** The configurations that somebody decides by at the moment. */
  readonly #going: Configuration[] = [];
  /** By their ids. */
  readonly #decided = new Map<string, Decided>();
  /** Every amount that a limit was ever to have, by its name. */
  readonly #amounts = new Map<string, Set<number>>();
  /** How far the ledger was when a gateway first went by a configuration. */
  readonly #reachedAt = new Map<number, number>();

  /** A gateway looks what is to be adjusted. Whoever fails is not known to have ended: what it said may still be on its way. */
  begins(configuration: Configuration): void {
    this.#going.push(configuration);
  }

  ends(configuration: Configuration): void {
    this.#going.splice(this.#going.indexOf(configuration), 1);
  }

  /** A gateway goes by a configuration from now on. */
  reached({ number }: Configuration, seq: number): void {
    if (!this.#reachedAt.has(number)) this.#reachedAt.set(number, seq);
  }

  entered(entry: Entry): void {
    if (entry.kind === "granted" && entry.grant.adjustment) this.#entered(entry, entry.grant.adjustment);
    if (entry.kind === "revoked") this.#decided.delete(entry.grant.id);
  }

  /** A call holds something on a limit. */
  admitted(counter: CounterRef, configuration: Configuration, at: number): void {
    const reachedAt = this.#reachedAt.get(configuration.number);
    if (reachedAt === undefined) return;
    const planned = configuration.planned.find(({ name }) => name === counter.budget);
    const name = counter.key.slice(0, counter.key.lastIndexOf("|"));
    const inForce = [...this.#decided.values()].filter(({ grant }) => nameOf(grant) === name && at >= grant.from && at < grant.until);
    const [foreign] = inForce.filter(({ grant }) => planned === undefined || !isOf(grant, planned));
    // Whoever has another configuration can decide by it until it is changed there too.
    if (foreign && foreign.seq > reachedAt) return;
    hold(1, foreign === undefined, () => `${foreign?.grant.id} is in force, and no rule that says so.`);
    hold(1, inForce.length <= 1, () => `${inForce.map(({ grant }) => grant.id).join(" and ")} are in force at once.`);
  }

  #entered({ grant, seq }: Granted, adjustment: Adjustment): void {
    const { id } = grant;
    hold(4, !this.#decided.has(id), () => `${id} is decided a second time.`);
    const by = this.#going.find(({ planned }) => planned.some((budget) => budget.name === grant.budget && isOf(grant, budget)));
    hold(1, by !== undefined, () => `${id} is not within the bounds of any rule: ${JSON.stringify(adjustment)}.`);
    const { configured, before, amount } = adjustment;
    const { adjust } = by.planned.find(({ name }) => name === grant.budget) as Required<Pick<PlannedBudget, "adjust">>;
    const earlier = this.#amounts.get(nameOf(grant)) ?? new Set();
    hold(1, before === configured || earlier.has(before), () => `${id} goes from ${before}, which the limit never was.`);
    const change = Math.abs(amount - before) * 100;
    hold(1, change <= before * adjust.step, () => `${id} goes from ${before} to ${amount}: more than ${adjust.step} %.`);
    this.#amounts.set(nameOf(grant), earlier.add(amount));
    this.#decided.set(id, { grant: { ...grant, adjustment }, seq });
  }
}

/** Whether a rule can have decided so. */
function isOf({ limit, from, until, amount: added, adjustment }: Grant, budget: PlannedBudget): boolean {
  const { adjust, timezone } = budget;
  const planned = adjustedLimit(budget);
  if (!adjust || !planned || !adjustment || limit !== adjustedName(budget)) return false;
  const { configured, amount } = adjustment;
  const window = { window: `${adjust.every}@${timezone}`, startsAt: from, resetsAt: until } as CounterRef;
  const isWithin = amount >= adjust.least && amount <= adjust.most && added === amount - configured;
  return configured === planned.amount && isWithin && isWindowAt(window, from);
}

/** A balance, as its counters are called but for when their windows began. */
function nameOf({ budget, limit, subject }: Pick<Grant, "budget" | "limit" | "subject">): string {
  return `${budget}|${limit}|${subject}`;
}
