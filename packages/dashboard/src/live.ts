import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import type { CallSummary } from "../../gateway/src/admin/call-report.ts";
import type { LiveCallsJson } from "../../gateway/src/admin/live.ts";

/** The calls that came while the screen was open, newest first, and whether it hears of new ones. */
export interface LiveState {
  readonly calls: readonly CallSummary[];
  readonly leftOut: number;
  readonly isConnected: boolean;
}

const KEPT = 200;
/** Balances and sums are asked for again so often at most while calls come in. */
const REFRESH_EVERY_MS = 4_000;
const FOLLOWS = ["overview", "minutes", "budgets", "budget", "allowances", "myBudget", "asks", "handovers"];

let state: LiveState = { calls: [], leftOut: 0, isConnected: false };
const listeners = new Set<() => void>();

function change(next: Partial<LiveState>): void {
  state = { ...state, ...next };
  for (const listener of listeners) listener();
}

/** A call that ends takes the place of the same call in flight, and keeps the time of its beginning. */
function merge(known: readonly CallSummary[], came: readonly CallSummary[]): readonly CallSummary[] {
  const byId = new Map(known.map((call) => [call.id, call]));
  const updated = came.map((call) => ({ ...call, at: byId.get(call.id)?.at ?? call.at }));
  const ids = new Set(updated.map(({ id }) => id));
  return [...updated.toReversed(), ...known.filter(({ id }) => !ids.has(id))].slice(0, KEPT);
}

/** Listens while the page is visible: browsers open few connections to one server, and hidden pages need none. */
export function useLiveConnection(isOn: boolean): void {
  const client = useQueryClient();
  useEffect(() => {
    if (!isOn) return undefined;
    let source: EventSource | undefined;
    const refresh = throttled(() => refreshAll(client));
    const open = () => {
      source = new EventSource("/api/events");
      source.onopen = () => change({ isConnected: true });
      source.onerror = () => change({ isConnected: false });
      source.addEventListener("calls", ({ data }: MessageEvent<string>) => {
        const { calls, left_out } = JSON.parse(data) as LiveCallsJson;
        change({ calls: merge(state.calls, calls), leftOut: state.leftOut + left_out });
        refresh();
      });
    };
    const follow = () => {
      source?.close();
      source = undefined;
      if (document.visibilityState === "visible") open();
      else change({ isConnected: false });
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      source?.close();
      change({ isConnected: false });
    };
  }, [isOn, client]);
}

function refreshAll(client: QueryClient): void {
  void client.invalidateQueries({ predicate: ({ queryKey: [name] }) => FOLLOWS.includes(String(name)) });
}

function throttled(work: () => void): () => void {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      work();
    }, REFRESH_EVERY_MS);
  };
}

export function useLive(): LiveState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}
