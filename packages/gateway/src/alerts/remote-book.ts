import type { AlertAnswer, AlertBook, Claim, ClaimOutcome, Delivery, Incident, Taken } from "./alert-book.ts";
import { incidentOf } from "./alert-book.ts";
import type { Notice } from "./notice.ts";

/** Of a book, what other processes than the one that has it may do: it delivers itself what they have told. */
export type AlertBookPort = Pick<AlertBook, "claim" | "record" | "end" | "deliveries" | "alerts" | "answer" | "waiting"> & {
  /** The incidents that are open. */
  opened(): Promise<readonly Incident[]>;
};

/** A book as other processes may use it. */
export function portOf(book: AlertBook): AlertBookPort {
  return {
    claim: (claim) => book.claim(claim),
    record: (delivery) => book.record(delivery),
    end: (incident, over) => book.end(incident, over),
    deliveries: () => book.deliveries(),
    alerts: (most) => book.alerts(most),
    answer: (id, answer) => book.answer(id, answer),
    waiting: (channel) => book.waiting(channel),
    opened: async () => [...book.incidents.values()],
  };
}

/** The book of another process, which delivers what is written into it. */
export class RemoteBook implements AlertBook {
  readonly incidents = new Map<string, Incident>();
  readonly #port: AlertBookPort;

  constructor(port: AlertBookPort) {
    this.#port = port;
  }

  claim(claim: Claim): Promise<ClaimOutcome> {
    return this.#port.claim(claim);
  }

  /** Nothing is delivered here. */
  async take(): Promise<readonly Taken[]> {
    return [];
  }

  async tried(): Promise<void> {}

  record(delivery: Delivery): Promise<void> {
    return this.#port.record(delivery);
  }

  end(incident: Incident, over: Notice): Promise<boolean> {
    return this.#port.end(incident, over);
  }

  deliveries() {
    return this.#port.deliveries();
  }

  alerts(most: number) {
    return this.#port.alerts(most);
  }

  answer(id: string, answer: AlertAnswer) {
    return this.#port.answer(id, answer);
  }

  waiting(channel: string): Promise<number> {
    return this.#port.waiting(channel);
  }

  /** Whoever has the book looks after what processes leave behind that die. */
  async look(): Promise<undefined> {
    const opened = new Map((await this.#port.opened()).map((incident) => [incidentOf(incident), incident]));
    for (const id of this.incidents.keys()) if (!opened.has(id)) this.incidents.delete(id);
    for (const [id, incident] of opened) this.incidents.set(id, incident);
  }

  async seen(): Promise<void> {}

  async close(): Promise<void> {}
}
