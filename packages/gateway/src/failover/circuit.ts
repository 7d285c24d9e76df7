/** What is known of a model at a provider that failed lately. One that answers again is forgotten. */
export interface Circuit {
  /** How many attempts failed in a row. */
  readonly failures: number;
  /** How often in a row it was opened, each time for longer: 0 while it is closed. */
  readonly opened: number;
  /** Epoch milliseconds; it is passed over until then. */
  readonly until: number;
  /** Whether a call is on its way that finds out whether the provider answers again. */
  readonly isProbed: boolean;
}

/** So many failures in a row open a circuit. */
export const FAILURES_MOST = 5;
/** How long the first time, and at most; twice as long each time between. */
export const OPEN_FIRST_MS = 5_000;
export const OPEN_MOST_MS = 5 * 60_000;
/** A wish to be left alone is believed up to this. */
export const RETRY_AFTER_MOST_MS = 60_000;
/** Whoever finds out whether a provider answers again has so long before another call may. */
export const PROBE_MS = 10_000;

const CLOSED: Circuit = { failures: 0, opened: 0, until: 0, isProbed: false };

/** An attempt failed. `retryAfterMs`: how long its provider asks to be left alone. */
export function circuitFailed(circuit = CLOSED, now: number, retryAfterMs = 0): Circuit {
  const failures = circuit.failures + 1;
  const until = Math.max(circuit.until, now + Math.min(retryAfterMs, RETRY_AFTER_MOST_MS));
  // Calls that were on their way when it opened fail too, and say nothing new.
  const opens = circuit.opened === 0 ? failures >= FAILURES_MOST : circuit.isProbed;
  if (!opens) return { ...circuit, failures, until };
  const openMs = Math.min(OPEN_MOST_MS, OPEN_FIRST_MS * 2 ** circuit.opened);
  return { failures, opened: circuit.opened + 1, until: Math.max(until, now + openMs), isProbed: false };
}

/** Whether calls are to pass over it. */
export function isPassedOver(circuit: Circuit | undefined, now: number): boolean {
  return circuit !== undefined && now < circuit.until;
}

/** A call goes there. Of an open circuit whose time is over, it is the one that finds out for the others. */
export function circuitTried(circuit: Circuit, now: number): Circuit {
  if (circuit.opened === 0 || isPassedOver(circuit, now)) return circuit;
  return { ...circuit, until: now + PROBE_MS, isProbed: true };
}
