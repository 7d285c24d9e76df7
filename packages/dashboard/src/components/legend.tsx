import type { ReactNode } from "react";

/** Told apart in any colour vision, and named in the line above the chart. */
export const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"] as const;

/** Which colour is whose. */
export function Legend({ items }: { items: readonly { readonly name: string; readonly colour?: string; readonly note?: ReactNode }[] }) {
  return (
    <ul className="mb-1 flex flex-wrap gap-x-4 gap-y-1 text-sm">
      {items.map(({ name, colour = "accent", note }) => (
        <li key={name} className="flex min-w-0 items-center gap-1.5">
          <svg width="10" height="10" aria-hidden="true" className="shrink-0">
            <rect width="10" height="10" rx="3" fill={colour.startsWith("#") ? colour : `var(--${colour})`} />
          </svg>
          <span className="min-w-0 break-words">{name}</span> {note !== undefined && <span className="figure text-soft">{note}</span>}
        </li>
      ))}
    </ul>
  );
}
