/** Which calls are shown, as the address says it. */
export interface CallFilter {
  readonly filter?: string;
  readonly outcome?: "denied" | "allowed";
}

export function readCallFilter({ filter, outcome }: Record<string, unknown>): CallFilter {
  return {
    ...(typeof filter === "string" && filter !== "" && { filter }),
    ...((outcome === "denied" || outcome === "allowed") && { outcome }),
  };
}
