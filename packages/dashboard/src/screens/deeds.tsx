import { useInfiniteQuery } from "@tanstack/react-query";
import type { AuditLine } from "../../../gateway/src/audit-log/chain.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { clock, instant } from "../format.ts";

/** A deed, and what became of it where that is known. */
interface Deed {
  readonly line: AuditLine;
  readonly outcome: AuditLine | undefined;
}

/** Who did what, from the audit log: all of it, or what is about people. */
export function Deeds({ title, about, empty }: { title: string; about?: "people"; empty: string }) {
  const deeds = useInfiniteQuery({
    queryKey: ["deeds", about],
    queryFn: ({ pageParam }) => api.deeds(queryOf(about, pageParam)),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: ({ data, has_more }) => (has_more ? data.at(-1)?.n : undefined),
  });
  return (
    <Card title={title} aside="purser audit verify checks that nothing of it was changed">
      <Answer of={deeds} rows={4}>
        {({ pages }) => {
          const lines = pages.flatMap(({ data }) => data);
          if (lines.length === 0) return <Empty title={empty} />;
          return (
            <>
              <Table
                label={title}
                rows={withOutcomes(lines)}
                rowKey={({ line: { n } }) => String(n)}
                columns={[
                  {
                    title: "When",
                    cell: ({ line: { at } }) => (
                      <time dateTime={at} title={instant(at)} className="figure whitespace-nowrap text-soft">
                        {clock(at)}
                      </time>
                    ),
                  },
                  { title: "Who", cell: ({ line: { by } }) => by },
                  { title: "What", cell: (deed) => <What deed={deed} /> },
                ]}
              />
              {deeds.hasNextPage && (
                <div className="mt-3 text-center">
                  <Button kind="quiet" onClick={() => void deeds.fetchNextPage()} disabled={deeds.isFetchingNextPage}>
                    {deeds.isFetchingNextPage ? "Looking …" : "Older"}
                  </Button>
                </div>
              )}
            </>
          );
        }}
      </Answer>
    </Card>
  );
}

function queryOf(about: string | undefined, before: number | undefined): string {
  const query = new URLSearchParams({ limit: "20" });
  if (about !== undefined) query.set("about", about);
  if (before !== undefined) query.set("before", String(before));
  return query.toString();
}

/** A line that says what became of another one stands with it, where both are here. */
function withOutcomes(lines: readonly AuditLine[]): readonly Deed[] {
  const asked = new Set(lines.map(({ n }) => n));
  const outcomes = new Map(lines.flatMap((line) => (line.of === undefined ? [] : [[line.of, line] as const])));
  return lines.filter(({ of }) => of === undefined || !asked.has(of)).map((line) => ({ line, outcome: outcomes.get(line.n) }));
}

/** What is done most, in words; all else as the log names it. */
const WORDS: Readonly<Record<string, string>> = {
  "session.opened": "Signed in",
  "session.closed": "Signed out",
  "session.refused": "Was not let in",
  "access.refused": "Was refused",
  "person.created": "Invited somebody",
  "person.password_changed": "Set another password",
  "person.removed": "Removed somebody",
  "POST /api/people": "Invited somebody",
  "POST /api/people/{name}/password": "Set another password",
  "DELETE /api/people/{name}": "Removed somebody",
};

/** More than so many characters are shown when somebody wants them. */
const TEXT_MOST = 160;
/** Details that are said otherwise. */
const SAID_ELSEWHERE = new Set(["path", "method", "status"]);

function What({ deed: { line, outcome } }: { deed: Deed }) {
  const all = { ...line.details, ...outcome?.details };
  const { path, method, status } = all;
  const verb = method ?? line.what.split(" ", 1)[0];
  // With names where the log's own words for it have braces.
  const asked = path === undefined ? line.what : `${verb} ${path}`;
  const word = WORDS[line.what];
  const details = Object.entries(all).flatMap(([name, value]) =>
    SAID_ELSEWHERE.has(name) || isEmpty(value) ? [] : [detailText(name, value)],
  );
  const text = [...(word !== undefined && path !== undefined ? [asked] : []), ...details].join(" · ");
  return (
    <>
      <span className="break-words" title={line.what}>
        {word ?? asked}
      </span>{" "}
      {typeof status === "number" && status >= 400 && <Badge kind="over">{status}</Badge>}
      {text.length > TEXT_MOST ? (
        <details className="text-xs text-soft">
          <summary className="break-all">{text.slice(0, TEXT_MOST)} …</summary>
          <p className="mt-1 break-all">{text}</p>
        </details>
      ) : (
        text !== "" && <span className="block break-all text-xs text-soft">{text}</span>
      )}
    </>
  );
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function detailText(name: string, value: unknown): string {
  if (typeof value === "string" || typeof value === "number") return `${name} ${value}`;
  // What was asked for says itself what it is.
  if (name === "body" && typeof value === "object" && value !== null)
    return Object.entries(value)
      .flatMap(([field, one]) => (isEmpty(one) ? [] : [detailText(field, one)]))
      .join(" · ");
  return `${name} ${JSON.stringify(value)}`;
}
