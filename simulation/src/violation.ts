/** A law that was broken, by its number in ARCHITECTURE.md. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly law: number;

  constructor(law: number, message: string) {
    super(message);
    this.law = law;
  }
}

/** Says that a law is broken unless something holds. The message is made only where it is needed. */
export function hold(law: number, holds: boolean, message: () => string): asserts holds {
  if (!holds) throw new Violation(law, message());
}
