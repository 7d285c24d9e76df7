import type { More } from "./command.ts";
import type { RateCard, ServiceTier } from "./price.ts";
import type { Subject } from "./subject.ts";

/** An amount held on every limit while a call is in flight. It ends exactly once: settled, released or expired. */
export interface Reservation {
  readonly id: string;
  /** Whom it is charged to. */
  readonly subject: Subject;
  /** The output cap to send to the provider, for one answer: what was asked, or less where only less fits. */
  readonly outputTokens: number;
  /** How many answers were asked for. */
  readonly copies: number;
  /** The most input tokens the call can have, as held. */
  readonly inputTokens: number;
  /** Epoch milliseconds. The hold is charged at its estimate if it has not ended by then. */
  readonly expiresAt: number;
  /** How the call will be priced; nothing where the model has no price and no budget limits money. */
  readonly card: RateCard | undefined;
  readonly service: ServiceTier;
  /** Whether a free allowance pays for the call. */
  readonly free: boolean;
  /** The output cap to send to the provider, where less of the answer is held at first, and more while it streams. */
  readonly outputTokensMost?: number;
  /** What asking for more of it asks of which limits. */
  readonly more?: () => Pick<More, "limits" | "asks">;
}
