import type { Dice } from "./dice.js";
import type { Process, VirtualTime } from "./virtual-time.js";

/** How bad a network is. */
export interface NetworkFaults {
  /** Of a message, from 0 to 1. */
  readonly lossChance: number;
  readonly duplicateChance: number;
  /** Of taking seconds in the place of milliseconds, so that others overtake it. */
  readonly delayChance: number;
}

const CALM: NetworkFaults = { lossChance: 0, duplicateChance: 0, delayChance: 0 };

/** Messages between processes: late, twice, or never. Those of one to another keep their order, as on one connection; others overtake them. */
export class Network {
  readonly #time: VirtualTime;
  readonly #dice: Dice;
  #faults: NetworkFaults;
  /** When the last message of one process to another arrives. */
  readonly #lastAt = new Map<Process, Map<Process, number>>();
  /** Until when a process is cut off from all others. */
  readonly #partitioned = new Map<Process, number>();

  constructor(time: VirtualTime, dice: Dice, faults: NetworkFaults) {
    this.#time = time;
    this.#dice = dice;
    this.#faults = faults;
  }

  /** `isOnce`: no message that its sender would repeat, so that it comes once at most. */
  send(from: Process, to: Process, deliver: () => void, isOnce = false): void {
    const { lossChance, duplicateChance } = this.#faults;
    if (this.#isCut(from) || this.#isCut(to) || this.#dice.chance(lossChance)) return;
    this.#deliver(from, to, deliver);
    if (!isOnce && this.#dice.chance(duplicateChance)) this.#deliver(from, to, deliver);
  }

  #deliver(from: Process, to: Process, deliver: () => void): void {
    const { now } = this.#time;
    const ofSender = this.#lastAt.get(from) ?? new Map<Process, number>();
    const at = Math.max(now + this.#delayMs(), ofSender.get(to) ?? 0);
    ofSender.set(to, at);
    this.#lastAt.set(from, ofSender);
    this.#time.after(to, at - now, deliver);
  }

  partition(process: Process, ms: number): void {
    this.#partitioned.set(process, this.#time.now + ms);
  }

  heal(): void {
    this.#partitioned.clear();
    this.#faults = CALM;
  }

  #isCut(process: Process): boolean {
    return this.#time.now < (this.#partitioned.get(process) ?? 0);
  }

  #delayMs(): number {
    return this.#dice.chance(this.#faults.delayChance) ? this.#dice.magnitude(50, 8_000) : this.#dice.between(0, 5);
  }
}
