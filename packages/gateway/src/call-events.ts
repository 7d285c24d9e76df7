import type { Charge, Denial, ErrorCode, KnownAnswer, Subject } from "@purser/core";
import type { Dialect } from "./dialects/dialect.ts";
import type { Attempt } from "./failover/attempts.ts";
import type { Outcome } from "./outcome.ts";
import type { ClientRequest } from "./upstream-request.ts";

/**
 * What becomes of calls, told once, as it happens: to whoever counts them, and to whoever traces them. A call is known by its id, which is that
 * of its first attempt; each attempt is charged under its own, as in the ledger. Times are seconds. Most of what is told is there already: nothing is made to be told, since mostly nobody traces.
 */
export interface CallEvents {
  /** It came, in a format. `isOwn`: the gateway makes it itself, and nobody waits for it on a connection. */
  began(id: string, request: ClientRequest, format: Pick<Dialect, "name" | "path">, isOwn: boolean): void;
  /** It is admitted, or free, and is sent now, so long after it came. */
  admitted(id: string, endpoint: string, seconds: number): void;
  /** An attempt goes out to its provider, so long after the call came. */
  sent(id: string, attempt: Attempt, seconds: number): void;
  /** The provider of the attempt under way began to answer, so long after it was asked. */
  answering(id: string, provider: string, seconds: number): void;
  /** An attempt that was sent is over. */
  answered(id: string, attempt: OverAttempt): void;
  /** It goes on to another attempt, because one at this provider ended so. */
  wentOn(id: string, provider: string, outcome: Outcome): void;
  /** All is over with a call that was sent, so long after it came. */
  over(id: string, endpoint: string, seconds: number): void;
  /** An attempt was charged, in the place of an estimate where there was one: as it stands in the ledger, with its id. */
  charged(id: string, subject: Subject, charge: Charge, takenBack?: Charge): void;
  /** Budgets refused an attempt. */
  denied(id: string, subject: Subject, denial: Denial): void;
  /** It got an answer that was known, and no provider was asked. */
  knew(id: string, subject: Subject, known: KnownAnswer): void;
  /** It was no call that a budget could be asked about: without a key, or one that cannot be read. Or something is wrong here. */
  rejected(id: string, code: ErrorCode): void;
  /** It goes on under another id, after it was refused. */
  continued(id: string, as: string): void;
  /** Nothing more comes of it. `status` is what its caller was answered; none where nobody waits. */
  ended(id: string, status: number | undefined): void;
}

export interface OverAttempt {
  readonly id: string;
  readonly provider: string;
  readonly outcome: Outcome;
  /** From when the call came. */
  readonly seconds: number;
}

/** Tells two of everything. What goes wrong with the second, who only watches, is told to `onError`, and changes nothing for the call. */
export function both(first: CallEvents, second: CallEvents, onError: (error: unknown) => void): CallEvents {
  const watching = (tell: () => void) => {
    try {
      tell();
    } catch (error) {
      onError(error);
    }
  };
  return {
    began: (id, request, format, isOwn) => {
      first.began(id, request, format, isOwn);
      watching(() => second.began(id, request, format, isOwn));
    },
    admitted: (id, endpoint, seconds) => {
      first.admitted(id, endpoint, seconds);
      watching(() => second.admitted(id, endpoint, seconds));
    },
    sent: (id, attempt, seconds) => {
      first.sent(id, attempt, seconds);
      watching(() => second.sent(id, attempt, seconds));
    },
    answering: (id, provider, seconds) => {
      first.answering(id, provider, seconds);
      watching(() => second.answering(id, provider, seconds));
    },
    answered: (id, attempt) => {
      first.answered(id, attempt);
      watching(() => second.answered(id, attempt));
    },
    wentOn: (id, provider, outcome) => {
      first.wentOn(id, provider, outcome);
      watching(() => second.wentOn(id, provider, outcome));
    },
    over: (id, endpoint, seconds) => {
      first.over(id, endpoint, seconds);
      watching(() => second.over(id, endpoint, seconds));
    },
    charged: (id, subject, charge, takenBack) => {
      first.charged(id, subject, charge, takenBack);
      watching(() => second.charged(id, subject, charge, takenBack));
    },
    denied: (id, subject, denial) => {
      first.denied(id, subject, denial);
      watching(() => second.denied(id, subject, denial));
    },
    knew: (id, subject, known) => {
      first.knew(id, subject, known);
      watching(() => second.knew(id, subject, known));
    },
    rejected: (id, code) => {
      first.rejected(id, code);
      watching(() => second.rejected(id, code));
    },
    continued: (id, as) => {
      first.continued(id, as);
      watching(() => second.continued(id, as));
    },
    ended: (id, status) => {
      first.ended(id, status);
      watching(() => second.ended(id, status));
    },
  };
}
