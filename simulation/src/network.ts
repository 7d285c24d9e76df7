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

/** Messages between processes: late, out of order, twice, or never. */
export class Network {
  readonly #time: VirtualTime;
  readonly #dice: Dice;
  #faults: NetworkFaults;
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
    this.#time.after(to, this.#delayMs(), deliver);
    if (!isOnce && this.#dice.chance(duplicateChance)) this.#time.after(to, this.#delayMs(), deliver);
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
    return this.#dice.chance(this.#faults.delayChance) ? this.#dice.magnitude(100, 20_000) : this.#dice.between(0, 5);
  }
}
