import type { CountBook } from "./count-book.ts";
import type { Trigger, Trip } from "./guard.ts";

/** What one of several processes tells the others of its guards. */
export interface GuardEvent {
  readonly kind: "tripped" | "let go";
  /** Stands for the process that tells. */
  readonly by: string;
  /** When it happened, in epoch milliseconds. */
  readonly at: number;
  readonly budget: string;
  /** `session=42`; empty where the budget has one balance for all. */
  readonly label: string;
  readonly trip: Trip;
}

/** Where processes tell each other what their guards trip on: those that share a Redis, or a port. */
export interface TripBook {
  /** Nobody waits for it. */
  tell(event: GuardEvent): void;
  /** What was told since the last look, in the order in which it was; at first all that may still stand. What this process told may be there too. */
  look(): Promise<readonly GuardEvent[]>;
  /** Where they count together. A process that is alone counts by itself. */
  readonly counts: CountBook | undefined;
  close(): void;
}

/** Of a process that is alone. */
export const NO_TRIP_BOOK: TripBook = { tell: () => undefined, look: async () => [], counts: undefined, close: () => undefined };

/** No guard stands for longer. */
export const STANDS_MOST_MS = 24 * 3_600_000;

const TRIGGERS: ReadonlySet<unknown> = new Set<Trigger>(["repeats", "same_tool", "growth", "surge"]);

/** Reads an event that another process wrote, which may be of another version; nothing where it is none. */
export function readGuardEvent(text: string): GuardEvent | undefined {
  let value: Partial<GuardEvent> | null;
  try {
    value = JSON.parse(text) as Partial<GuardEvent> | null;
  } catch {
    return undefined;
  }
  if (typeof value?.budget !== "string" || typeof value.label !== "string") return undefined;
  if (typeof value.by !== "string" || !Number.isSafeInteger(value.at)) return undefined;
  if ((value.kind !== "tripped" && value.kind !== "let go") || !isTrip(value.trip)) return undefined;
  return value as GuardEvent;
}

export function isTrip(value: unknown): value is Trip {
  const { trigger, at, until, measured, fingerprint, loop } = (value ?? {}) as Partial<Trip>;
  if (!TRIGGERS.has(trigger) || ![at, until, measured].every(Number.isSafeInteger)) return false;
  if ((until as number) - (at as number) > STANDS_MOST_MS) return false;
  const isOfOne = trigger === "repeats" || trigger === "same_tool";
  if (isOfOne !== (typeof fingerprint === "string")) return false;
  return trigger === "same_tool"
    ? Array.isArray(loop?.tools) && loop.tools.every((tool) => typeof tool === "string") && typeof loop.sign === "string"
    : loop === undefined;
}
