/** Something that people are told. Channels write it in their own form. */
export interface Notice {
  /** The same for every try to deliver it: who gets it twice can tell. */
  readonly id: string;
  readonly kind: "budget.threshold" | "budget.over" | "budget.asked" | "guard.tripped" | "call.done" | "test";
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
  /** Whether it says that what it is about is over. */
  readonly isOver?: boolean;
  /** The notice that is delivered before this one, or given up. */
  readonly after?: string;
}
