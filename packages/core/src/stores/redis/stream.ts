import type { Entry } from "../../domain/ledger.ts";
import { LEDGER_PAGE, type LedgerQuery, matchesQuery } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { type Message, readEntry, seqOf } from "./text.ts";

/** Reservations with more entries than this are read a part at a time. */
const AT_ONCE = 100;

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
    const { reservation, since } = query;
    const after = Math.max(query.after ?? 0, since === undefined ? 0 : await this.#lastBefore(since));
    const bounded = { ...query, after };
    // What belongs to no reservation is not kept by one.
    const found =
      reservation === undefined || reservation === "" ? await this.#scan(bounded) : await this.#ofReservation(reservation, bounded);
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

  /** In the order asked for. */
  async #scan(query: LedgerQuery & { readonly after: number }): Promise<Entry[]> {
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

  /** The numbers of a reservation's entries stand with it. In the order asked for. */
  async #ofReservation(reservation: string, query: LedgerQuery & { readonly after: number }): Promise<Entry[]> {
    const { after, newest, most = LEDGER_PAGE } = query;
    const text = await this.#connection.send("hget", `${this.#keys.reservation}${reservation}`, "entries");
    const numbers = String(text ?? "")
      .split(",")
      .filter((number) => number !== "" && Number(number) > after);
    if (newest) numbers.reverse();
    const found: Entry[] = [];
    for (let first = 0; first < numbers.length && found.length < most; first += AT_ONCE) {
      const read = numbers.slice(first, first + AT_ONCE).map((number) => this.#messages("xrange", number, number, 1));
      for (const message of (await Promise.all(read)).flat()) {
        const entry = readEntry(message);
        if (found.length < most && matchesQuery(entry, query)) found.push(entry);
      }
    }
    return found;
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
