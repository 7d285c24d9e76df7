import type { Budgets, Call, Reservation, Subject, Usage } from "../../packages/core/dist/index.js";
import type { Dice } from "./dice.js";
import type { Laws } from "./laws.js";
import { billOf, type Model } from "./models.js";
import type { Process, VirtualTime } from "./virtual-time.js";

export interface ProgramOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  readonly laws: Laws;
  readonly check: (law: () => void) => void;
  onError(error: unknown): void;
}

/** A program that has its budgets in itself, as a library: it reserves, calls its provider by its own means, and settles. */
export class Program {
  readonly #options: ProgramOptions;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  /** Makes one call in a process. Resolves when all that it says about it was said. */
  async call(process: Process, budgets: Budgets, id: string, subject: Subject, model: Model): Promise<void> {
    const { dice, laws, onError } = this.#options;
    const countedTokens = dice.magnitude(1, 1_500);
    laws.attempt(id, countedTokens);
    const call = this.#callOf(id, subject, model, countedTokens);
    const decision = await budgets.reserve(call);
    if (decision.outcome === "denied") return;
    const held = decision.outcome === "allowed" ? await this.#raised(process, budgets, decision.reservation) : undefined;
    const cap = held?.outputTokens;
    const isSent = !dice.chance(0.05);
    if (isSent) this.#send(call, model, cap);
    await this.#wait(process, dice.magnitude(10, dice.chance(0.05) ? 900_000 : 10_000));
    if (!held) return;
    const ends = dice.chance(0.1) ? 2 : 1;
    // What the store cannot take is told once; such programs do not try again.
    for (let i = 0; i < ends; i++) await this.#end(budgets, held, isSent).catch(onError);
  }

  /** Has more held for the answer, of which less was held at first, a step at a time; as far as there is room. */
  async #raised(process: Process, budgets: Budgets, reservation: Reservation): Promise<Reservation> {
    const { dice } = this.#options;
    let held = reservation;
    for (let steps = reservation.more ? dice.between(0, 4) : 0; steps > 0; steps--) {
      await this.#wait(process, dice.magnitude(1, 2_000));
      const { outputTokens, outputTokensMost = outputTokens } = held;
      if (outputTokens >= outputTokensMost) break;
      const most = dice.between(outputTokens + 1, outputTokensMost);
      const raised = await budgets.raise(held, { least: dice.between(outputTokens + 1, most), most });
      if (!raised) break;
      held = raised;
    }
    return held;
  }

  #callOf(id: string, subject: Subject, model: Model, countedTokens: number): Call {
    const { dice } = this.#options;
    const copies = dice.chance(0.1) ? dice.between(2, 3) : 1;
    return {
      id,
      subject: { ...subject, provider: model.provider, model: model.name },
      input: dice.chance(0.3)
        ? { most: countedTokens }
        : { most: countedTokens * 4, count: async (limit) => (countedTokens > limit ? limit + 1 : countedTokens) },
      output: {
        most: dice.magnitude(1, 1_500),
        copies,
        ...(dice.chance(0.2) && { least: 1 }),
        ...(dice.chance(0.3) && { first: dice.magnitude(1, 300) }),
      },
      ...(dice.chance(0.1) && { toolCalls: { web_search: dice.between(1, 3) } }),
      ...(dice.chance(0.3) && { leaseMs: dice.magnitude(1_000, 600_000) }),
    };
  }

  #send({ id, output, toolCalls }: Call, model: Model, cap: number | undefined): void {
    const { dice, laws, check } = this.#options;
    check(() => laws.sent(id, cap));
    const countedTokens = laws.attempt(id, 0).countedTokens;
    const usage: Usage = {
      inputTokens: dice.between(1, countedTokens),
      outputTokens: dice.between(0, cap ?? output.most) * (output.copies ?? 1),
      ...(toolCalls && { toolCalls }),
    };
    check(() => laws.served({ id, model, cap, usage, billed: billOf(model, usage), lies: false, exceeds: false }));
  }

  async #end(budgets: Budgets, reservation: Reservation, isSent: boolean): Promise<void> {
    const { dice, laws } = this.#options;
    const usage = laws.attempt(reservation.id, 0).served?.usage;
    if (!isSent || !usage) {
      await budgets.release(reservation, "never sent");
      return;
    }
    const { outputTokens: _, ...half } = usage;
    await dice.weighted<() => Promise<unknown>>([
      [8, () => budgets.settle(reservation, usage)],
      // Half of the truth: the rest is charged as it was held.
      [1, () => budgets.settle(reservation, half)],
      [1, () => budgets.extend(reservation)],
    ])();
  }

  #wait(process: Process, ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.time.after(process, ms, resolve);
    });
  }
}
