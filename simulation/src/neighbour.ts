import { type Call, PurserError, type Subject } from "../../packages/core/dist/index.js";
import type { AdminResponse } from "../../packages/gateway/dist/admin/admin.js";
import type { Decisions } from "../../packages/gateway/dist/admin/decisions.js";
import type { Dice } from "./dice.js";
import type { SimulatedGateway } from "./gateway.js";
import type { Laws } from "./laws.js";
import { billOf, type Model } from "./models.js";
import type { Network } from "./network.js";
import type { Due, Process, VirtualTime } from "./virtual-time.js";

export interface NeighbourOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  readonly process: Process;
  readonly network: Network;
  readonly laws: Laws;
  readonly check: (law: () => void) => void;
  /** Any gateway that runs, if there is one. */
  anyGateway(): SimulatedGateway | undefined;
}

const ANSWER_MS = 4_000;
const TRIES = 4;

/**
 * Gateways of others, which ask before they send a call and say after it what was used: with ids of their own, and as such programs do:
 * again where no answer comes, to whoever answers, too late, twice, or never.
 */
export class Neighbour {
  readonly #options: NeighbourOptions;
  /** Calls that are not over. */
  open = 0;

  constructor(options: NeighbourOptions) {
    this.#options = options;
  }

  /** Makes a call: asks, sends it, and says what was used. */
  async call(id: string, subject: Subject, model: Model): Promise<void> {
    this.open++;
    try {
      await this.#call(id, subject, model);
    } finally {
      this.open--;
    }
  }

  async #call(id: string, subject: Subject, model: Model): Promise<void> {
    const { dice, laws, check } = this.#options;
    const inputTokens = dice.magnitude(1, 2_000);
    const leaseMs = dice.magnitude(1_000, 120_000);
    const attempt = laws.attempt(id, inputTokens);
    const call: Omit<Call, "id"> = {
      subject: { ...subject, provider: model.provider, model: model.name },
      input: { most: inputTokens },
      output: { most: dice.magnitude(1, 1_500), copies: dice.chance(0.1) ? dice.between(2, 3) : 1 },
      leaseMs,
    };
    let questions = 0;
    const answer = await this.#ask(
      (decisions) => decisions.reserve({ id, call, fingerprint: id }),
      () => questions++,
    );
    if (answer?.status !== 200) {
      // Whoever asked more than once does not know what is held, and those who know nothing say nothing.
      if (questions > 1) attempt.wasOrphaned = true;
      return;
    }
    const { outcome, output_tokens: cap } = answer.body as { readonly outcome: string; readonly output_tokens: number };
    await this.#wait(dice.magnitude(10, dice.chance(0.2) ? leaseMs * 4 : leaseMs));
    if (dice.chance(0.1)) await this.#say(attempt, outcome, (decisions) => decisions.release(id, "never sent"));
    else {
      check(() => laws.sent(id, outcome === "uncounted" ? undefined : cap));
      const usage = {
        inputTokens: dice.between(1, inputTokens),
        outputTokens: dice.between(1, Math.max(1, cap)) * (call.output.copies ?? 1),
      };
      const exceeds = cap === 0;
      check(() => laws.served({ id, model, cap, usage, billed: billOf(model, usage), lies: false, exceeds }));
      if (dice.chance(0.2)) await this.#ask((decisions) => decisions.extend(id, leaseMs));
      await this.#wait(dice.magnitude(10, 30_000));
      if (dice.chance(0.1)) attempt.wasOrphaned = true;
      else await this.#say(attempt, outcome, (decisions) => decisions.settle(id, { usage, certainty: "confirmed" }));
    }
  }

  /** Says how a call ended, now and then twice. */
  async #say(
    attempt: { wasOrphaned: boolean },
    outcome: string,
    question: (decisions: Decisions) => Promise<AdminResponse>,
  ): Promise<void> {
    if (outcome === "uncounted") return;
    const first = this.#ask(question);
    const again = this.#options.dice.chance(0.2) ? this.#ask(question) : undefined;
    if (!(await first) && !(await again)) attempt.wasOrphaned = true;
  }

  /** Asks any gateway until one answers. Nothing where none does; a refusal is an answer. */
  async #ask(question: (decisions: Decisions) => Promise<AdminResponse>, onAsk = () => {}): Promise<AdminResponse | undefined> {
    for (let i = 0; i < TRIES; i++) {
      onAsk();
      const answer = await this.#askOnce(question);
      if (answer && answer.status !== 503) return answer;
    }
    return undefined;
  }

  #askOnce(question: (decisions: Decisions) => Promise<AdminResponse>): Promise<AdminResponse | undefined> {
    const { time, process, network, anyGateway } = this.#options;
    const gateway = anyGateway();
    return new Promise((resolve) => {
      const timer: Due = time.after(process, ANSWER_MS, () => resolve(undefined));
      if (!gateway) return;
      const answer = (response: AdminResponse | undefined) => {
        network.send(gateway.process, process, () => {
          timer.isCancelled = true;
          resolve(response);
        });
      };
      const isOnce = true;
      const arrive = () => {
        gateway.ask(question).then(answer, (error: unknown) => {
          if (!(error instanceof PurserError)) throw error;
          answer(
            error.code === "store_unavailable" || error.code === "shutting_down" ? undefined : { status: 400, body: { code: error.code } },
          );
        });
      };
      network.send(process, gateway.process, arrive, isOnce);
    });
  }

  #wait(ms: number): Promise<void> {
    const { time, process } = this.#options;
    return new Promise((resolve) => {
      time.after(process, ms, resolve);
    });
  }
}
