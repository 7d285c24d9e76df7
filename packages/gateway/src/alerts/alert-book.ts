import type { Notice } from "./notice.ts";

/** A try to deliver a notice to a channel. */
export interface Delivery {
  readonly notice: string;
  readonly channel: string;
  readonly title: string;
  readonly at: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** Nothing where it was delivered. */
  readonly error: string | undefined;
  /** Whether there will be no other try. */
  readonly isLast: boolean;
}

/** Something that is told once, with the notice that tells a channel of it; what is only watched until it is over has none. */
export interface Claim {
  /** What the notice speaks for. Whether it was told already, the last of them decides. */
  readonly keys: readonly string[];
  /** Until when it is not told again; epoch milliseconds. */
  readonly until: number;
  readonly channel: string;
  readonly notice?: Notice;
  /** The incident that it opens, or adds to, where its end is told. */
  readonly incident?: Incident;
}

/** `known`: it was told before. `full`: too many notices wait for the channel, and nothing was written down. */
export type ClaimOutcome = "claimed" | "known" | "full";

/** A notice that is its taker's to deliver, and nobody else's until the lease ends. That its try begins is written down. */
export interface Taken {
  readonly notice: Notice;
  readonly channel: string;
  /** How often it was tried before, also by who died meanwhile. */
  readonly attempts: number;
  readonly leaseUntil: number;
  /** A try that begins later may not end within the lease; by `performance.now`. */
  readonly beginBy: number;
  /** The first try that may have told it, though nobody learnt so. The same of all that were taken together with it. */
  readonly doubt?: string;
}

/** How a try to deliver a notice that was taken ended. */
export interface Tried {
  readonly taken: Taken;
  readonly delivery: Delivery;
  /** After which it is tried again, where there is another try. */
  readonly pauseMs: number;
  /** Whether this try, or one before it, may have told it though it failed. */
  readonly isInDoubt: boolean;
}

/** Something whose end is told: a channel that knows incidents shows it as open. */
export interface Incident {
  readonly notice: Notice;
  readonly channel: string;
  /** The share at which it was opened. */
  readonly from: number;
  /** When it ends by itself. */
  readonly until: number;
}

/** What somebody said to an alert. */
export interface AlertAnswer {
  readonly kind: "acknowledged" | "snoozed";
  readonly at: number;
  readonly by: string;
  /** Until when nobody is told of the same thing, where it was put off. */
  readonly until?: number;
}

/** Something that people were told, and whether somebody looks after it. */
export interface Alert {
  readonly notice: Notice;
  readonly channels: readonly string[];
  /** When it is over. */
  readonly until: number;
  readonly answer?: AlertAnswer;
}

/** What a process may have seen that died before it wrote it down, so that somebody has to look at it again. */
export interface Unseen {
  /** Since when, in the store's time; not known where it is left out. */
  readonly since?: number;
}

/** Who was told what, and what is still to be told: of one gateway, or of all that share it. Each of its verbs happens whole or not at all. */
export interface AlertBook {
  /** Writes down that something is told, together with its notice, which waits from then on. */
  claim(claim: Claim): Promise<ClaimOutcome>;
  /** Takes notices that are due, to deliver them at once: so many, and those that were last taken together with the last of them. */
  take(channel: string, most: number): Promise<readonly Taken[]>;
  /** Writes down how a try ended to tell all of these, in one step. What was delivered, or was tried for the last time, is gone; the rest waits for a pause. */
  tried(all: readonly Tried[]): Promise<void>;
  /** Writes down a try to deliver what never waited. */
  record(delivery: Delivery): Promise<void>;
  /** What is open, by an id. */
  readonly incidents: ReadonlyMap<string, Incident>;
  /** Ends an incident, and has the notice of it wait. False where somebody else ended it. */
  end(incident: Incident, over: Notice): Promise<boolean>;
  /** The latest tries, oldest first. */
  deliveries(): Promise<readonly Delivery[]>;
  /** What was told, the newest first, so many at most. */
  alerts(most: number): Promise<readonly Alert[]>;
  /** Writes down what somebody said to an alert. Nothing where there is no such alert. */
  answer(id: string, answer: AlertAnswer): Promise<Alert | undefined>;
  /** How many notices wait for a channel. */
  waiting(channel: string): Promise<number>;
  /** To be called every second or so: sees what others did, and forgets what is over. */
  look(): Promise<Unseen | undefined>;
  /** What was unseen was looked at. */
  seen(unseen: Unseen): Promise<void>;
  /** Waits for what is being written, and lets go of everything. */
  close(): Promise<void>;
}

/** A gateway takes a notice for so long. */
export const LEASE_MS = 60_000;
/** No try takes longer, so that it ends within its lease. */
export const TRY_MOST_MS = 40_000;
/** Of so many tries it is known how they ended. */
export const DELIVERIES_MOST = 1_000;
/** A channel that is down for long must not fill the memory. */
export const WAITING_MOST = 10_000;
/** Nobody wants to hear of what could not be told for so long, because the channel was taken out of the configuration for example. */
export const WAITING_MOST_MS = 7 * 86_400_000;

/** So many alerts are known, and for so long. */
export const ALERTS_MOST = 1_000;
export const ALERTS_MOST_MS = 30 * 86_400_000;

/** Notices about the same thing are one incident in a channel. */
export function incidentId({ about, channel }: { readonly about: string; readonly channel: string }): string {
  return `${about} ${channel}`;
}

/** The id of an incident that is known. */
export function incidentOf({ notice: { about }, channel }: Incident): string {
  return incidentId({ about, channel });
}
