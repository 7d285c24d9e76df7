import { hash } from "node:crypto";
import { formatInstant } from "@purser/core";
import type { Notice } from "./notice.ts";

const SEVERITIES = ["info", "warning", "error", "critical"] as const satisfies readonly Notice["severity"][];

/** Several notices as one, in the order of what happened. */
export function digestOf(notices: readonly Notice[]): Notice {
  const ordered = notices.toSorted((a, b) => a.at - b.at);
  const [first] = ordered as [Notice];
  const worst = ordered.reduce((most, { severity }) => Math.max(most, SEVERITIES.indexOf(severity)), 0);
  const ids = ordered.map(({ id }) => id);
  return {
    // The same for every try, as long as nothing else has come to wait.
    id: `digest_${hash("sha256", JSON.stringify(ids), "hex").slice(0, 24)}`,
    kind: "digest",
    about: JSON.stringify(["digest", ...ids]),
    at: first.at,
    severity: SEVERITIES[worst] ?? "info",
    title: `${ordered.length} notices since ${formatInstant(first.at, first.timeZone ?? "UTC")}`,
    text: ordered.map(lineOf).join("\n"),
    facts: [],
    data: {
      notices: ordered.map(({ id, kind, at, severity, title, text, data, link }) => ({
        id,
        type: kind,
        timestamp: new Date(at).toISOString(),
        severity,
        title,
        text,
        ...data,
        ...(link !== undefined && { link }),
      })),
    },
    owner: first.owner,
  };
}

function lineOf({ at, title, text, timeZone = "UTC", link }: Notice): string {
  const answer = link === undefined ? "" : ` Acknowledge: ${link}`;
  return `${formatInstant(at, timeZone)}: ${title}. ${text}${answer}`;
}
