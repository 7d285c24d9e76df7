import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { CallSummary } from "../../../gateway/src/admin/call-report.ts";
import { api } from "../api.ts";
import { Button, Choice } from "../components/controls.tsx";
import { Answer, Card, Empty, Page } from "../components/panel.tsx";
import { count } from "../format.ts";
import { useLive } from "../live.ts";
import type { CallFilter } from "./call-filter.ts";
import { CallLine } from "./call-line.tsx";

const PAGE = 50;

/** Calls as they come, and those that came before. */
export function Calls() {
  const search = useSearch({ from: "/calls" });
  const navigate = useNavigate({ from: "/calls" });
  const { calls: live, leftOut, isConnected } = useLive();
  const calls = useInfiniteQuery({
    queryKey: ["calls", search],
    queryFn: ({ pageParam }) => api.calls(queryOf(search, pageParam)),
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
  });
  const go = (next: CallFilter) => void navigate({ search: next });
  return (
    <Page
      title="Calls"
      lead={isConnected ? "New ones appear by themselves." : "Newest first."}
      actions={
        <Choice
          label="Outcome"
          value={search.outcome ?? "all"}
          options={[
            ["all", "All"],
            ["allowed", "Allowed"],
            ["denied", "Refused"],
          ]}
          onChange={(outcome) => go({ ...(search.filter && { filter: search.filter }), ...(outcome !== "all" && { outcome }) })}
        />
      }
    >
      <FilterBar
        key={search.filter ?? ""}
        filter={search.filter ?? ""}
        onChange={(filter) => go({ ...(search.outcome && { outcome: search.outcome }), ...(filter !== "" && { filter }) })}
      />
      <Card>
        <Answer of={calls} rows={8}>
          {({ pages }) => {
            const before = pages.flatMap(({ data }) => data);
            const known = new Set(live.map(({ id }) => id));
            const shown = [...live.filter((call) => isWanted(call, search)), ...before.filter(({ id }) => !known.has(id))];
            if (shown.length === 0 && !calls.hasNextPage)
              return (
                <Empty title={search.filter || search.outcome ? "No call is like this." : "No call has come yet."}>
                  {search.filter || search.outcome
                    ? "Take the filter away to see all."
                    : "Point a program’s base URL here; its calls appear at once."}
                </Empty>
              );
            return (
              <>
                {leftOut > 0 && (
                  <p className="mb-2 text-sm text-soft">
                    {count(leftOut)} more came faster than they can be shown. They are all in the ledger.
                  </p>
                )}
                <ul className="divide-y divide-line/60">
                  {shown.map((call) => (
                    <CallLine key={call.id} call={call} isNew={known.has(call.id)} />
                  ))}
                </ul>
                {calls.hasNextPage && (
                  <div className="mt-4 text-center">
                    <Button onClick={() => void calls.fetchNextPage()} disabled={calls.isFetchingNextPage}>
                      {calls.isFetchingNextPage ? "Looking …" : "Older calls"}
                    </Button>
                  </div>
                )}
              </>
            );
          }}
        </Answer>
      </Card>
    </Page>
  );
}

export function FilterBar({ filter, onChange }: { filter: string; onChange: (filter: string) => void }) {
  const [text, setText] = useState(filter);
  const send = (event: FormEvent) => {
    event.preventDefault();
    onChange(text.trim());
  };
  return (
    <search>
      <form onSubmit={send} className="flex max-w-xl gap-2">
        <label className="min-w-0 flex-1">
          <span className="sr-only">Filter</span>
          <input
            value={text}
            onChange={(event) => setText(event.target.value)}
            placeholder="team=support, model=gpt-4o*"
            className="w-full rounded-md border border-line bg-card px-2.5 py-1.5 text-sm placeholder:text-soft"
          />
        </label>
        <Button type="submit">Filter</Button>
        {filter !== "" && (
          <Button kind="quiet" onClick={() => onChange("")}>
            Clear
          </Button>
        )}
      </form>
    </search>
  );
}

/** `team=a, user=b|c` as the API's repeated `filter`. */
export function filterParts(filter: string): readonly string[] {
  return filter.split(",").flatMap((part) => {
    const [path = "", values = ""] = part.trim().split(/=(.*)/s);
    return values === "" ? (path === "" ? [] : [part.trim()]) : values.split("|").map((value) => `${path.trim()}=${value.trim()}`);
  });
}

function queryOf({ filter = "", outcome }: CallFilter, afterId: string): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const part of filterParts(filter)) query.append("filter", part);
  if (outcome !== undefined) query.set("outcome", outcome);
  if (afterId !== "") query.set("after_id", afterId);
  return query.toString();
}

/** Whether a call that came just now is one of those that are asked for. */
function isWanted({ outcome, subject }: CallSummary, { filter = "", outcome: wanted }: CallFilter): boolean {
  if (wanted !== undefined && (outcome === "denied" || outcome === "ready text") !== (wanted === "denied")) return false;
  const byPath = new Map<string, string[]>();
  for (const part of filterParts(filter)) {
    const [path = "", value = ""] = part.split(/=(.*)/s);
    byPath.set(path, [...(byPath.get(path) ?? []), value]);
  }
  return [...byPath].every(([path, values]) => {
    const own = path.startsWith("tag.") ? subject.tags?.[path.slice(4)] : subject[path as "team"];
    return own !== undefined && values.some((value) => matches(value, own));
  });
}

function matches(pattern: string, value: string): boolean {
  const escaped = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".*")}$`, "i").test(value);
}
