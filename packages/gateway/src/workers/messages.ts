import type { ErrorCode } from "@purser/core";
import type { CircuitEvent } from "../failover/circuits.ts";
import type { GuardEvent } from "../guards/trip-book.ts";
import type { OpenHandoverEvent } from "../handovers/open-handovers.ts";
import type { Snapshot } from "../metrics/figures.ts";
import type { Counted } from "../metrics/metrics.ts";

/** The text of a configuration and all that its reading depends on: a worker reads it itself, since what is read cannot be sent. */
export interface ConfigSource {
  readonly file: string | undefined;
  readonly text: string | undefined;
  readonly flags: { readonly host?: string | undefined; readonly port?: string | undefined; readonly data?: string | undefined };
  readonly cwd: string;
}

/** What a worker asks of the process that started it. */
export interface Question {
  readonly id: number;
  readonly verb: string;
  readonly argument: unknown;
}

export type Answer = { readonly id: number } & ({ readonly result: unknown } | { readonly error: Failure });

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

export type ToWorker =
  | { readonly kind: "start"; readonly source: ConfigSource }
  | { readonly kind: "answers"; readonly answers: readonly Answer[] }
  /** Takes over a configuration: admits no more calls, says so, and waits for word that its limits are in force. */
  | { readonly kind: "configure"; readonly text: string }
  /** `failure`: the limits could not be put in force, and the old ones stay. */
  | { readonly kind: "adopted"; readonly failure: string | undefined }
  /** What all have counted, for a worker that asked. */
  | { readonly kind: "counted"; readonly counted: Counted }
  /** What guards of other workers tripped on, and let go of. */
  | { readonly kind: "guards"; readonly events: readonly GuardEvent[] }
  /** Which models fail at which providers, or answer again, as others found out. */
  | { readonly kind: "circuits"; readonly events: readonly CircuitEvent[] }
  /** Which conversations people go on with, or do not any more. */
  | { readonly kind: "handovers"; readonly events: readonly OpenHandoverEvent[] }
  | { readonly kind: "close" };

export type FromWorker =
  /** It listens to messages: what is sent before is lost. */
  | { readonly kind: "ready" }
  | { readonly kind: "questions"; readonly questions: readonly Question[] }
  | { readonly kind: "listening"; readonly url: string; readonly host: string; readonly port: number }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "paused" }
  | { readonly kind: "configured"; readonly failure: string | undefined }
  /** What it has counted since it began. One that `asks` is told what all have counted. */
  | { readonly kind: "counted"; readonly snapshot: Snapshot; readonly asks: boolean }
  /** What its guards tripped on or let go of, for all other workers. */
  | { readonly kind: "guard"; readonly event: GuardEvent }
  /** Which model fails at which provider, or answers again, for all others. */
  | { readonly kind: "circuit"; readonly event: CircuitEvent }
  | { readonly kind: "notice"; readonly notice: string };

/** Gathers what is sent within one turn of the event loop: a message costs as much as what is in many. */
export class Outbox<Item> {
  readonly #send: (items: readonly Item[]) => void;
  #items: Item[] = [];

  constructor(send: (items: readonly Item[]) => void) {
    this.#send = send;
  }

  add(item: Item): void {
    if (this.#items.push(item) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const items = this.#items;
    this.#items = [];
    this.#send(items);
  }
}
