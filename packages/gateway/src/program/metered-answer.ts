import { LEASE_MS, type Reservation, type Sent, type Usage } from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import { type BudgetedCall, type CallBudgets, settleCall } from "../budgeted-call.ts";
import { headerText } from "../headers.ts";
import { AnswerMeter } from "../metering/answer-meter.ts";
import type { StreamReader } from "../metering/stream-account.ts";
import { framingOf, streamMeter } from "../metering/stream-meter.ts";
import { answerOutcome, type Outcome, streamOutcome, UNREADABLE } from "../outcome.ts";
import type { SentBefore } from "../sessions/sent-before.ts";

/** What an answer is metered for. */
export interface MeteredExchange {
  readonly id: string;
  readonly budgets: CallBudgets;
  readonly signal: AbortSignal | undefined;
  readonly sentBefore: SentBefore;
  /** Told what the provider says that the call used. */
  readonly onUsage?: ((usage: Usage) => void) | undefined;
}

/** An answer that is metered as its reader reads it, and settled when it ends, breaks off or is given up, whichever comes first. */
export class MeteredAnswer {
  readonly #exchange: MeteredExchange;
  readonly #budgeted: BudgetedCall;
  readonly #reservation: Reservation | undefined;
  readonly #response: Response;
  readonly #sent: Sent | undefined;
  readonly #stream: StreamReader | undefined;
  readonly #answer: AnswerMeter;
  readonly #counter: ReturnType<typeof createOutputCounter>;
  #renewAt: number;
  #settled: Promise<void> | undefined;

  constructor(exchange: MeteredExchange, budgeted: BudgetedCall, reservation: Reservation | undefined, response: Response) {
    this.#exchange = exchange;
    this.#budgeted = budgeted;
    this.#reservation = reservation;
    this.#response = response;
    this.#sent = reservation && exchange.sentBefore.saw(budgeted, Date.now());
    const { dialect, call, model } = budgeted;
    this.#counter = createOutputCounter(model);
    this.#answer = new AnswerMeter(dialect, dialect.readHeaders?.([...response.headers].flat()), call);
    const framing = framingOf(response.headers.get("content-type"));
    if (framing) this.#stream = streamMeter(dialect, this.#counter, { hidesUsage: call.stream && !call.wantsUsage, framing });
    this.#renewAt = reservation ? Date.now() + LEASE_MS / 2 : Infinity;
  }

  async response(): Promise<Response> {
    const { status, statusText, url, body } = this.#response;
    if (!body) {
      await this.#end(true);
      return this.#response;
    }
    const headers = new Headers(this.#response.headers);
    headers.set("x-purser-request-id", this.#exchange.id);
    const { rungs = [] } = this.#budgeted;
    if (rungs.length > 0) headers.set("x-purser-rung", headerText(rungs.join(", ")));
    // What only we asked for is taken out of a stream again.
    if (this.#stream) headers.delete("content-length");
    const response = new Response(this.#metered(body), { status, statusText, headers });
    return Object.defineProperty(response, "url", { value: url });
  }

  #metered(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const { signal } = this.#exchange;
    const reader = body.getReader();
    // Who aborts a call may never look at its answer again.
    signal?.addEventListener("abort", this.#aborted, { once: true });
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            for (let isPassed = false; !isPassed; ) {
              const { done, value } = await reader.read();
              const pieces = done ? (this.#stream?.end() ?? []) : this.#read(value);
              for (const piece of pieces) controller.enqueue(piece);
              isPassed = pieces.length > 0;
              if (!done) continue;
              // The reader sees the end when the money is where it belongs.
              await this.#end(true);
              controller.close();
              return;
            }
          } catch (error) {
            await this.#end(false);
            throw error;
          }
        },
        cancel: async (reason) => {
          const settled = this.#end(false);
          await reader.cancel(reason);
          await settled;
        },
      },
      { highWaterMark: 0 },
    );
  }

  readonly #aborted = () => void this.#end(false);

  #read(value: Uint8Array): readonly Uint8Array[] {
    this.#renew();
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (this.#stream) return this.#stream.write(chunk);
    this.#answer.write(chunk);
    return [value];
  }

  /** An answer may take longer than a lease; while its bytes flow, the hold stays. */
  #renew(): void {
    const now = Date.now();
    if (now < this.#renewAt || !this.#reservation) return;
    this.#renewAt = now + LEASE_MS / 2;
    const { budgets } = this.#exchange;
    void budgets.background(budgets.extend(this.#reservation));
  }

  #end(isWhole: boolean): Promise<void> {
    this.#settled ??= this.#settle(isWhole);
    return this.#settled;
  }

  async #settle(isWhole: boolean): Promise<void> {
    const { budgets, signal, onUsage } = this.#exchange;
    signal?.removeEventListener("abort", this.#aborted);
    const outcome = this.#outcome(isWhole);
    if (outcome.kind === "answered" && outcome.usage) onUsage?.(outcome.usage);
    if (!this.#reservation) return;
    await budgets.background(settleCall(budgets, this.#budgeted, this.#reservation, outcome, this.#sent));
  }

  #outcome(isWhole: boolean): Outcome {
    try {
      return this.#stream ? streamOutcome(this.#stream, isWhole) : answerOutcome(this.#answer, this.#counter, isWhole);
    } catch {
      // Of a form that the dialect does not have.
      return UNREADABLE;
    }
  }
}
