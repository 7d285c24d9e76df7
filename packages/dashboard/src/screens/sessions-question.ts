/** Attributes that name a row of calls that belong together. */
export const SESSION_PATHS = ["session", "task"] as const;
export type SessionPath = (typeof SESSION_PATHS)[number];

/** Which sessions are shown, as the address says it. */
export interface SessionsQuestion {
  readonly of?: SessionPath;
  readonly since?: "1d" | "7d" | "30d";
}

export function readSessionsQuestion({ of, since }: Record<string, unknown>): SessionsQuestion {
  return {
    ...(isSessionPath(of) && { of }),
    ...((since === "1d" || since === "7d" || since === "30d") && { since }),
  };
}

export function isSessionPath(text: unknown): text is SessionPath {
  return SESSION_PATHS.some((path) => path === text);
}

const DAY_MS = 86_400_000;

/** The day with which the last so many days begin, today included: `7d`. */
export function dayBefore(days: string, now = Date.now()): string {
  return new Date(now - (Number.parseInt(days, 10) - 1) * DAY_MS).toISOString().slice(0, 10);
}
