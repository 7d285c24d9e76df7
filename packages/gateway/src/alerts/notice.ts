/** What notices are about that somebody should look at: it is acknowledged, put off, and told to somebody else where nobody does. */
export const ALERT_KINDS = [
  "budget.threshold",
  "budget.forecast",
  "budget.anomaly",
  "budget.hourly",
  "budget.trial",
  "provider.failing",
  "bill.differs",
  "commitment.unused",
  "allowance.used",
  "agreement.ending",
  "guard.tripped",
] as const;

export type AlertKind = (typeof ALERT_KINDS)[number];

/** A conversation is handed over to a person, its user wrote again, or it was given back. */
export type HandoverNoticeKind = "handover.opened" | "handover.continued" | "handover.returned";

/** Something that people are told. Channels write it in their own form. */
export interface Notice {
  /** The same for every try to deliver it: who gets it twice can tell. */
  readonly id: string;
  readonly kind:
    | AlertKind
    | "budget.over"
    | "budget.reset"
    | "budget.adjusted"
    | "budget.asked"
    | HandoverNoticeKind
    | "call.done"
    | "digest"
    | "test";
  /** What it is about. Notices about the same thing are one incident where a channel knows incidents. */
  readonly about: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly severity: "info" | "warning" | "error" | "critical";
  readonly title: string;
  readonly text: string;
  /** Names and values, for people. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** The same for programs: amounts are integers, money in nano-dollars. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Who answers for the budget. */
  readonly owner: string | undefined;
  /** By whose clock it is told when it is night; that of the configuration where it is left out. */
  readonly timeZone?: string;
  /** Whether it says that what it is about is over. */
  readonly isOver?: boolean;
  /** The notice that is delivered before this one, or given up. */
  readonly after?: string;
  /** When it is delivered at the earliest. */
  readonly notBefore?: number;
  /** Whether it waits until then because of the hours of its channel: with others that do, it is told in one message. */
  readonly isHeld?: boolean;
  /** The alert that it tells of again. Nobody is, once somebody has answered that one. */
  readonly repeats?: string;
  /** Where it is acknowledged, or put off. */
  readonly link?: string;
  /** Whether it may have been told before: of an earlier try nobody learnt how it ended. */
  readonly mayRepeat?: boolean;
}

/** What a reader is told of a notice that may repeat. */
export const MAY_REPEAT = "You may have been told this before: nobody learnt how an earlier try to tell it ended.";

/** Whether a notice is one that is answered. */
export function isAlert({ kind, isOver = false }: Notice): boolean {
  return !isOver && (ALERT_KINDS as readonly string[]).includes(kind);
}
