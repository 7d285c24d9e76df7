import type { ReactNode } from "react";
import { Refused } from "../api.ts";

export function Page({ title, lead, actions, children }: { title: string; lead?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <div className="grid grid-cols-1 gap-5">
      <div className="flex flex-wrap items-end justify-between gap-3">
        <div className="min-w-0">
          <h1 className="break-words">{title}</h1>
          {lead !== undefined && <p className="mt-1 max-w-2xl text-soft">{lead}</p>}
        </div>
        {actions !== undefined && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function Card({
  title,
  aside,
  children,
  className = "",
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={`min-w-0 rounded-xl border border-line bg-card p-4 sm:p-5 ${className}`}>
      {title !== undefined && (
        <div className="mb-3 flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
          <h2>{title}</h2>
          {aside !== undefined && <div className="text-sm text-soft">{aside}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

/** Where there is nothing yet: why, and the next step. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="rounded-lg border border-dashed border-line px-5 py-8 text-center">
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="mx-auto mt-1 max-w-lg text-sm text-soft">{children}</div>}
    </div>
  );
}

/** One number, what it is, and what it is beside. */
export function Figure({ label, value, title, note }: { label: string; value: ReactNode; title?: string; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <p className="text-sm text-soft">{label}</p>
      <p className="figure mt-0.5 text-2xl font-semibold tracking-tight" title={title}>
        {value}
      </p>
      {note !== undefined && <p className="figure mt-0.5 text-sm text-soft">{note}</p>}
    </div>
  );
}

export function Badge({ kind = "plain", children }: { kind?: "plain" | "good" | "warn" | "over"; children: ReactNode }) {
  const colour = {
    plain: "border-line text-soft",
    good: "border-transparent bg-wash text-accent",
    warn: "border-warn/40 text-warn",
    over: "border-transparent bg-over-wash text-over",
  }[kind];
  return <span className={`inline-block whitespace-nowrap rounded-full border px-2 py-px text-xs font-medium ${colour}`}>{children}</span>;
}

interface Asked<Data> {
  readonly data: Data | undefined;
  readonly error: Error | null;
  refetch(): unknown;
}

/** What is shown while an answer is on its way, when it does not come, and when it is there. */
export function Answer<Data>({ of, rows = 3, children }: { of: Asked<Data>; rows?: number; children: (data: Data) => ReactNode }) {
  if (of.data !== undefined) return children(of.data);
  if (of.error)
    return (
      <div role="alert" className="rounded-lg border border-over/40 bg-over-wash px-4 py-3 text-sm">
        <p>{of.error.message}</p>
        {!(of.error instanceof Refused && of.error.status === 404) && (
          <button type="button" className="link mt-1" onClick={() => of.refetch()}>
            Try again
          </button>
        )}
      </div>
    );
  return (
    <div role="status" aria-label="Loading" className="grid gap-3 py-1">
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same.
        <div key={i} className="h-4 rounded bg-sunk motion-safe:animate-pulse" style={{ width: `${92 - i * 17}%` }} />
      ))}
    </div>
  );
}
