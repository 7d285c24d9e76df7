import type { IncomingMessage } from "node:http";
import type { Budgets, PriceSource, Reservation, Subject } from "@purser/core";
import type { Alerts } from "./alerts/alerts.ts";
import type { Asks } from "./asks/asks.ts";
import type { AuditLog } from "./audit-log/audit-log.ts";
import type { BatchesPort } from "./batches/batches.ts";
import type { BodyRoom } from "./body-room.ts";
import type { Calibration } from "./calibration/calibration.ts";
import type { CallEvents } from "./call-events.ts";
import type { Identified } from "./callers/identify.ts";
import type { Config } from "./config/config.ts";
import type { Refusal } from "./dialects/dialect.ts";
import type { Circuits } from "./failover/circuits.ts";
import type { Guards } from "./guards/guards.ts";
import type { Handovers } from "./handovers/handovers.ts";
import type { UsualAnswers } from "./holds/usual-answers.ts";
import type { Router } from "./providers/routing.ts";
import type { QueuePort } from "./queue/queue.ts";
import type { Answers } from "./rungs/answers.ts";
import type { PromptCaches } from "./rungs/prompt-caches.ts";
import type { Summaries } from "./rungs/summaries.ts";
import type { SentBefore } from "./sessions/sent-before.ts";
import type { Upstream } from "./upstream.ts";

/** What every call needs, as it stands when the call comes in. */
export interface Gateway {
  readonly config: Config;
  readonly budgets: Budgets;
  readonly prices: PriceSource;
  readonly upstream: Pick<Upstream, "send">;
  readonly route: Router;
  readonly bodies: BodyRoom;
  readonly alerts: Pick<Alerts, "decided" | "watches" | "observe">;
  readonly guards: Guards;
  /** Calls that wait for their budget. */
  readonly queue: QueuePort;
  /** Batches on their way. */
  readonly batches: BatchesPort;
  readonly asks: Pick<Asks, "ask" | "wait" | "look" | "answer">;
  /** Conversations that people go on with. */
  readonly handovers: Pick<Handovers, "of" | "cannot" | "begin" | "goOn" | "ended" | "book">;
  readonly log: Pick<AuditLog, "refused" | "write">;
  /** Told what becomes of every call. */
  readonly events: CallEvents;
  /** The headers that continue the trace of an attempt at its provider; the caller's own pass where it is left out. */
  readonly traceHeaders?: (attemptId: string) => readonly string[] | undefined;
  /** Which providers failed lately. */
  readonly circuits: Circuits;
  /** What may be answered again. */
  readonly answers: Answers;
  /** What stands for the beginnings of conversations. */
  readonly summaries: Summaries;
  /** How far our counts are from those of providers. */
  readonly calibration: Pick<Calibration, "marginOf" | "saw">;
  /** What providers read from their caches lately. */
  readonly promptCaches: PromptCaches;
  /** How long answers are. */
  readonly usualAnswers: Pick<UsualAnswers, "p95" | "saw">;
  /** What sessions have sent. */
  readonly sentBefore: SentBefore;
  /** Calls in flight: their leases are renewed, and they can be ended before their time. */
  readonly inFlight: Map<string, CallInFlight>;
  identify(request: IncomingMessage): Identified;
  newId(): string;
  onError(error: unknown): void;
}

export interface CallInFlight {
  readonly subject: Subject;
  /** None where the call goes uncounted. */
  readonly reservation: Reservation | undefined;
  /** Ends its stream as if its output cap had been reached; what has not begun is refused with a code and a message. A whole answer comes. */
  end(code: Refusal["code"], message: string): Promise<void>;
}
