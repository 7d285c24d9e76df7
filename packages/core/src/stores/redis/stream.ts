import type { Entry, EntryKind } from "../../domain/ledger.ts";
import { LEDGER_PAGE, type LedgerQuery, matchesQuery } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { type Message, readEntry, seqOf } from "./text.ts";

/** Entries that are read one by one at the same time. */
const AT_ONCE = 100;
/** Entries taken off the stream by one run of the script. */
const TRIM_MOST = 100;

/** Kinds whose numbers are kept apart. */
const RARE: ReadonlySet<EntryKind> = new Set(["granted", "revoked", "adjusted"]);

type BoundedQuery = LedgerQuery & { readonly after: number };

/** Reads the ledger as it lies in the stream, where the number of an entry is its id. */
export class Stream {
  readonly #connection: Connection;
  readonly #keys: Keys;

  constructor(connection: Connection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** The entries that a query asks for, oldest first. */
  async entries(query: LedgerQuery): Promise<readonly Entry[]> {
    const { since } = query;
    const after = Math.max(query.after ?? 0, since === undefined ? 0 : await this.#lastBefore(since));
    const bounded = { ...query, after };
    const found = await this.#find(bounded);
    return query.newest ? found.reverse() : found;
  }

  /** The number of the oldest entry that is here; one more than the last, where there is none. */
  async first(): Promise<number> {
    const [message] = await this.#messages("xrange", "-", "+", 1);
    return message ? seqOf(message[0]) : (await this.last()) + 1;
  }

  /** The number of the last entry, here or trimmed. */
  async last(): Promise<number> {
    return Number((await this.#connection.send("hget", this.#keys.meta, "seq")) ?? 0);
  }

  /** Takes entries before one off the beginning. Returns how many there were. */
  async trim(keepFrom: number): Promise<number> {
    for (let trimmed = 0; ; ) {
      const { rest } = await this.#connection.run("trim", [], [String(keepFrom), this.#keys.prefix, String(TRIM_MOST)]);
      const count = Number(rest[0]);
      trimmed += count;
      if (count < TRIM_MOST) return trimmed;
    }
  }

  /** In the order asked for. */
  async #find(query: BoundedQuery): Promise<Entry[]> {
    const { reservation, kinds } = query;
    // What belongs to no reservation is not kept by one.
    if (reservation !== undefined && reservation !== "") return this.#read(await this.#numbersOf(reservation, query.after), query);
    return kinds?.every((kind) => RARE.has(kind)) ? this.#read(await this.#rareNumbers(query.after), query) : this.#scan(query);
  }

  async #scan(query: BoundedQuery): Promise<Entry[]> {
    const { after, newest, most = LEDGER_PAGE } = query;
    const found: Entry[] = [];
    let [least, last] = [String(after + 1), "+"];
    while (found.length < most) {
      // Where few kinds are asked for, a page of what is wanted is more than that many messages.
      const count = query.kinds ? LEDGER_PAGE : Math.min(most - found.length, LEDGER_PAGE);
      const messages = newest ? await this.#messages("xrevrange", last, least, count) : await this.#messages("xrange", least, last, count);
      for (const entry of messages.map(readEntry)) if (found.length < most && matchesQuery(entry, query)) found.push(entry);
      const end = messages.at(-1);
      if (!end || messages.length < count) break;
      if (newest) last = `(${end[0]}`;
      else least = `(${end[0]}`;
    }
    return found;
  }

  /** Of the entries with these numbers, those that are asked for. */
  async #read(numbers: readonly string[], query: BoundedQuery): Promise<Entry[]> {
    const { newest, most = LEDGER_PAGE } = query;
    const ordered = newest ? numbers.toReversed() : numbers;
    const found: Entry[] = [];
    for (let first = 0; first < ordered.length && found.length < most; first += AT_ONCE) {
      const read = ordered.slice(first, first + AT_ONCE).map((number) => this.#messages("xrange", number, number, 1));
      for (const message of (await Promise.all(read)).flat()) {
        const entry = readEntry(message);
        if (found.length < most && matchesQuery(entry, query)) found.push(entry);
      }
    }
    return found;
  }

  /** The numbers of a reservation's entries stand with it. */
  async #numbersOf(reservation: string, after: number): Promise<readonly string[]> {
    const text = await this.#connection.send("hget", `${this.#keys.reservation}${reservation}`, "entries");
    return String(text ?? "")
      .split(",")
      .filter((number) => number !== "" && Number(number) > after);
  }

  async #rareNumbers(after: number): Promise<readonly string[]> {
    return (await this.#connection.send("zrangebyscore", this.#keys.rare, `(${after}`, "+inf")) as readonly string[];
  }

  /** The number of an entry before which all are older than a time: not the last such one, but one not far before it. */
  async #lastBefore(since: number): Promise<number> {
    const found = await this.#connection.send("zrevrangebyscore", this.#keys.marks, `(${since}`, "-inf", "LIMIT", "0", "1");
    return Number((found as readonly string[])[0] ?? 0);
  }

  async #messages(command: "xrange" | "xrevrange", from: string, to: string, count: number): Promise<readonly Message[]> {
    return (await this.#connection.send(command, this.#keys.ledger, from, to, "COUNT", String(count))) as readonly Message[];
  }
}
