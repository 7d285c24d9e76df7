import { type GuardClient, GuardConnection } from "./guard-connection.ts";
import { RedisCountBook } from "./redis-count-book.ts";
import { type GuardEvent, readGuardEvent, STANDS_MOST_MS, type TripBook } from "./trip-book.ts";

export interface RedisTripBookOptions {
  /** Connects, when it is needed first. */
  readonly connect: () => Promise<GuardClient>;
  /** Gateways with the same namespace on the same Redis tell each other. */
  readonly namespace: string;
  readonly onError: (error: unknown) => void;
  /** The clock of the process. */
  readonly now?: () => number;
}

/** So many events are kept, and read at a time. A loop is one event, whatever it makes. */
const KEPT_MOST = "10000";
const PAGE = "1000";
/** No guard stands for longer, and clocks differ. */
const BACK_MS = STANDS_MOST_MS + 3_600_000;
/** What could not be told yet. */
const OWED_MOST = 1_000;

/** Gateways on one Redis or Valkey tell each other by a stream that each reads to its end. */
export class RedisTripBook implements TripBook {
  readonly #options: RedisTripBookOptions;
  readonly #key: string;
  readonly #connection: GuardConnection;
  readonly counts: RedisCountBook;
  /** The last event that was read; none before the first look. */
  #last: string | undefined;
  #owed: GuardEvent[] = [];
  #telling: Promise<void> = Promise.resolve();

  constructor(options: RedisTripBookOptions) {
    this.#options = options;
    this.#key = `{${options.namespace}}:guards`;
    this.#connection = new GuardConnection(options.connect);
    this.counts = new RedisCountBook(this.#connection, options.namespace, options.now);
  }

  tell(event: GuardEvent): void {
    if (this.#owed.length >= OWED_MOST) this.#owed.shift();
    this.#owed.push(event);
    this.#tellOwed().catch(this.#options.onError);
  }

  async look(): Promise<readonly GuardEvent[]> {
    await this.#tellOwed();
    const events: GuardEvent[] = [];
    for (;;) {
      // Ids are times of the server.
      const from = this.#last === undefined ? `${Date.now() - BACK_MS}-0` : `(${this.#last}`;
      const page = (await this.#send("xrange", this.#key, from, "+", "COUNT", PAGE)) as readonly (readonly [string, readonly string[]])[];
      for (const [id, fields] of page) {
        this.#last = id;
        const event = readGuardEvent(fields[1] ?? "");
        if (event) events.push(event);
      }
      if (page.length < Number(PAGE)) return events;
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** What could not be told is told at the next look. One that was told and of which nobody learnt may be told twice: it is the same. */
  #tellOwed(): Promise<void> {
    const told = this.#telling.then(async () => {
      for (let event = this.#owed[0]; event; event = this.#owed[0]) {
        await this.#send("xadd", this.#key, "MAXLEN", "~", KEPT_MOST, "*", "event", JSON.stringify(event));
        await this.#send("pexpire", this.#key, String(BACK_MS));
        if (this.#owed[0] === event) this.#owed.shift();
      }
    });
    this.#telling = told.catch(() => undefined);
    return told;
  }

  #send(command: string, ...args: readonly string[]): Promise<unknown> {
    return this.#connection.send("tell other gateways what they trip on", command, ...args);
  }
}
