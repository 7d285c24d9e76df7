import type { CounterRef, Entry, Grant } from "../../packages/core/dist/index.js";
import type { Books } from "./books.js";
import { isWindowAt } from "./calendar.js";
import { type Configuration, type PlannedBudget, shareOf } from "./plan.js";
import { amountInForce } from "./room.js";
import { hold } from "./violation.js";

type Granted = Extract<Entry, { readonly kind: "granted" }>;
type Moves = NonNullable<Grant["moves"]>;
type MovedAmount = Moves["takes"][number];

/** Somebody who looks whether something is to be moved. */
export interface Sharing {
  readonly configuration: Configuration;
  /** The last entry before, and the time by the clock of the store. */
  readonly seq: number;
  readonly at: number;
}

/** What is moved among the balances of one limit at one time, as its grants tell it. */
interface Circle {
  readonly moves: Moves;
  readonly configuration: Configuration;
  readonly seq: number;
  taken: number;
  given: number;
  /** Whether something else was moved from or to its balances since. */
  isCrossed: boolean;
}

/** All that is moved among the balances of one limit in one window. */
interface Group {
  readonly limit: string;
  readonly from: number;
  /** By the names of their counters. */
  readonly members: Map<string, MovedAmount>;
  /** Whether its owner took something of it back: then what is in force is the owner's to say. */
  isRevoked: boolean;
}

/** Which of its grants says what is moved. */
const DECISION = "moves";
/** `grant_share:RULE:LIMIT:TIME:WHICH`, each part encoded. */
const SHARED = /^(grant_share:([^:]*):([^:]*):([^:]*)):(.*)$/;

/**
 * What is moved is taken before it is given, within the bounds of its rule, and ends with the window: so all together never have more in force
 * than their limits.
 */
export class SharingLaw {
  readonly #books: Books;
  readonly #going = new Set<Sharing>();
  readonly #circles = new Map<string, Circle>();
  readonly #granted = new Set<string>();
  /** The last entry that changed what a balance has in force. */
  readonly #changed = new Map<string, number>();
  /** The last one that did so, or changed what it has used, beyond what is moved and what is admitted. */
  readonly #disturbed = new Map<string, number>();
  #configuredAt = 0;
  readonly #groups = new Map<string, Group>();
  /** The group of a balance, by the key of its counter. */
  readonly #groupOf = new Map<string, Group>();

  constructor(books: Books) {
    this.#books = books;
  }

  /** A gateway looks what is to be moved. Whoever fails is not known to have ended: what it said may still be on its way. */
  begins(sharing: Sharing): void {
    this.#going.add(sharing);
  }

  ends(sharing: Sharing): void {
    this.#going.delete(sharing);
  }

  /** An entry is in the ledger. To be called before it changes the books. */
  entered(entry: Entry): void {
    const { kind, seq } = entry;
    if (kind === "granted" && SHARED.test(entry.grant.id)) this.#shared(entry);
    else if (kind === "granted" || kind === "revoked") this.#disturbed.set(nameOf(entry.grant), seq);
    if (kind === "revoked" && SHARED.test(entry.grant.id)) {
      const group = this.#groupOf.get(`${nameOf(entry.grant)}|${entry.grant.from}`);
      if (group) group.isRevoked = true;
    }
    if (kind === "granted" || kind === "revoked") this.#changed.set(nameOf(entry.grant), seq);
    if (kind === "overrun" || kind === "corrected" || kind === "adjusted") {
      if (kind === "adjusted" && entry.adopted) this.#configuredAt = seq;
      for (const { counter } of entry.postings) this.#disturbed.set(counter.key.slice(0, counter.key.lastIndexOf("|")), seq);
    }
  }

  /**
   * At any moment: whatever is moved, all together have no more in force than their own limits, and what owners granted them. Of a limit
   * that was lowered below what had been taken of it by then, less than nothing is left, and that is nothing.
   */
  admitted(counter: CounterRef, configuration: Configuration, at: number): void {
    const group = this.#groupOf.get(counter.key);
    if (!group || group.isRevoked) return;
    let [own, inForce] = [0, 0];
    for (const [name, { budget }] of group.members) {
      const limit = configuration.limits.get(`${budget}|${group.limit}`);
      if (!limit) return;
      const key = `${name}|${group.from}`;
      inForce += amountInForce(this.#books, limit, { ...counter, key }, at);
      let [granted, moved] = [0, 0];
      for (const grant of this.#books.grants.values()) {
        if (nameOf(grant) !== name || at < grant.from || at >= grant.until) continue;
        if (SHARED.test(grant.id)) moved += grant.amount;
        else granted += grant.amount;
      }
      if (limit.amount + granted + moved < 0) return;
      own += limit.amount + granted;
    }
    hold(1, inForce <= own, () => `${[...group.members.keys()].join(", ")} have ${inForce} in force together, and ${own} of their own.`);
  }

  #shared(entry: Granted): void {
    const { grant } = entry;
    const [, id = "", , , time = "", which = ""] = SHARED.exec(grant.id) as RegExpExecArray;
    hold(4, !this.#granted.has(grant.id), () => `${grant.id} is moved a second time.`);
    this.#granted.add(grant.id);
    const window = { window: grant.limit.slice(grant.limit.indexOf("/") + 1), startsAt: grant.from, resetsAt: grant.until };
    const isWindow = isWindowAt(window as Parameters<typeof isWindowAt>[0], Date.parse(decodeURIComponent(time)));
    hold(6, isWindow, () => `${grant.id} is in force from ${grant.from} until ${grant.until}: not its window.`);
    if (which === DECISION) {
      this.#decided(id, entry);
      return;
    }
    const circle = this.#circles.get(id);
    hold(4, circle !== undefined, () => `${grant.id} is moved, and nobody has decided what is.`);
    const { moves } = circle;
    const amount = Math.abs(grant.amount);
    const isGive = which.startsWith("to:");
    const planned = (isGive ? moves.gives : moves.takes).find((one) => nameOf({ ...grant, ...one }) === nameOf(grant));
    for (const other of this.#circles.values()) if (other !== circle && isIn(other, grant)) other.isCrossed = true;
    const isPlanned =
      planned !== undefined && grant.amount > 0 === isGive && (isGive ? amount <= planned.amount : amount === planned.amount);
    hold(1, isPlanned, () => `${grant.id} moves ${grant.amount}, and what was decided is ${JSON.stringify(moves)}.`);
    if (isGive) circle.given += amount;
    else circle.taken += amount;
    hold(1, circle.given <= circle.taken, () => `${grant.id}: of ${circle.taken} that were taken ${circle.given} are given.`);
    if (isGive) this.#isUnused(entry, circle);
  }

  #group(grant: Grant, { takes, gives }: Moves): void {
    const [, , rule] = SHARED.exec(grant.id) as RegExpExecArray;
    const key = `${rule} ${grant.limit} ${grant.from}`;
    const group = this.#groups.get(key) ?? { limit: grant.limit, from: grant.from, members: new Map(), isRevoked: false };
    this.#groups.set(key, group);
    for (const one of [...takes, ...gives]) {
      const name = nameOf({ ...grant, ...one });
      group.members.set(name, one);
      this.#groupOf.set(`${name}|${grant.from}`, group);
    }
  }

  /** What was used of it after all is not given. */
  #isUnused({ grant, at }: Granted, { moves, configuration, given, taken, seq, isCrossed }: Circle): void {
    // What others have in force by another configuration is another amount.
    const isChanged = [...this.#going].some((sharing) => sharing.configuration !== configuration);
    if (isCrossed || isChanged || this.#configuredAt > seq) return;
    let used = 0;
    for (const take of moves.takes) {
      const name = nameOf({ ...grant, ...take });
      const limit = configuration.limits.get(`${take.budget}|${grant.limit}`);
      if (!limit || (this.#disturbed.get(name) ?? 0) > seq) return;
      const key = `${name}|${grant.from}`;
      const standing = this.#books.standing(key);
      const amount = amountInForce(this.#books, limit, { key, startsAt: grant.from } as Parameters<typeof amountInForce>[2], at);
      used += Math.max(0, standing.spent + standing.held - amount);
    }
    hold(1, given + used <= taken, () => `${grant.id}: ${given} are given of ${taken}, of which ${used} were used meanwhile.`);
  }

  /** Somebody decided what is to be moved: by the rule, and within its bounds, of one of those that are looking. */
  #decided(id: string, entry: Granted): void {
    const { grant, seq } = entry;
    const { moves } = grant;
    hold(4, moves !== undefined && grant.amount === 0, () => `${grant.id} moves ${grant.amount}, and is to say what is moved.`);
    const sum = (all: readonly MovedAmount[]) => all.reduce((total, { amount }) => total + amount, 0);
    hold(1, sum(moves.gives) <= sum(moves.takes), () => `${grant.id}: more is to be given than taken: ${JSON.stringify(moves)}.`);
    const decider = [...this.#going].find((sharing) => this.#isWithin(entry, moves, sharing));
    hold(1, decider !== undefined, () => `${grant.id} is not within the bounds of its rule: ${JSON.stringify(moves)}.`);
    const { configuration } = decider;
    this.#group(grant, moves);
    this.#circles.set(id, { moves, configuration, seq, taken: 0, given: 0, isCrossed: false });
  }

  #isWithin({ grant, at }: Granted, moves: Moves, { configuration, seq, at: lookedAt }: Sharing): boolean {
    const [, , rule = ""] = SHARED.exec(grant.id) as RegExpExecArray;
    const share = shareOf(configuration, decodeURIComponent(rule));
    if (!share) return false;
    return [...moves.takes.map((take) => ({ ...take, sign: -1 })), ...moves.gives.map((give) => ({ ...give, sign: 1 }))].every((one) => {
      const limit = configuration.limits.get(`${one.budget}|${grant.limit}`);
      const name = nameOf({ ...grant, ...one });
      if (!limit || !isAmong(configuration.planned, share, one.budget)) return false;
      // What it had in force when somebody looked is not known any more.
      if ((this.#changed.get(name) ?? 0) > seq) return true;
      const counter = { key: `${name}|${grant.from}`, startsAt: grant.from } as Parameters<typeof amountInForce>[2];
      return [lookedAt, at].some((time) => {
        const after = amountInForce(this.#books, limit, counter, time) + one.sign * one.amount;
        return one.sign < 0 ? after * 100 >= limit.amount * share.keep : after * 100 <= limit.amount * (100 + share.most);
      });
    });
  }
}

function isAmong(planned: readonly PlannedBudget[], share: NonNullable<PlannedBudget["share"]>, budget: string): boolean {
  return share.among.length === 0 ? planned.some(({ name, share: own }) => name === budget && own === share) : share.among.includes(budget);
}

function isIn({ moves: { takes, gives } }: Circle, grant: Grant): boolean {
  return [...takes, ...gives].some((one) => nameOf({ ...grant, ...one }) === nameOf(grant));
}

/** A balance, as its counters are called but for when their windows began. */
function nameOf({ budget, limit, subject }: Pick<Grant, "budget" | "limit" | "subject">): string {
  return `${budget}|${limit}|${subject}`;
}
