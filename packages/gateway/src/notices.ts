const REPEATED_AFTER_MS = 10_000;

export interface Notices {
  /** Tells news. */
  tell(notice: string): void;
  /** Tells what goes wrong. While a store is away every call fails for the same reason, and once in a while is often enough to say so. */
  tellOnce(notice: string): void;
}

/** `elapsed`: milliseconds from any moment on. */
export function noticesTo(onNotice: (notice: string) => void, elapsed: () => number = () => performance.now()): Notices {
  const told = new Map<string, number>();
  return {
    tell(notice) {
      // What fails again after it was said to work is said at once.
      told.clear();
      onNotice(notice);
    },
    tellOnce(notice) {
      const now = elapsed();
      if (now - (told.get(notice) ?? Number.NEGATIVE_INFINITY) < REPEATED_AFTER_MS) return;
      for (const [other, at] of told) if (now - at >= REPEATED_AFTER_MS) told.delete(other);
      told.set(notice, now);
      onNotice(notice);
    },
  };
}
