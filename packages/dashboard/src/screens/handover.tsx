import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { HandoverJson, WholeHandoverJson } from "../../../gateway/src/admin/handover-json.ts";
import { api } from "../api.ts";
import { Button, ProseField } from "../components/controls.tsx";
import { Answer, Badge, Card, Page } from "../components/panel.tsx";
import { instant } from "../format.ts";
import { Changes, useSession } from "../session.ts";
import { Stands, useHandovers, When, whose } from "./handovers.tsx";

const ANSWER_MOST = 20_000;

/** One conversation that people go on with: what was said where that is kept, and what is answered. */
export function HandoverDetail() {
  const { id } = useParams({ from: "/conversations/$id" });
  const listed = useHandovers(false);
  const row = listed.data?.data.find((one) => one.id === id);
  // Who reads what was said stands in the audit log: so it is asked for again only when something has changed.
  const state = row && JSON.stringify([row.status, row.changed_at, row.waiting_answers, row.kept_until]);
  const handover = useQuery({
    queryKey: ["handover", id, state],
    queryFn: () => api.handover(id),
    enabled: listed.data !== undefined || listed.error !== null,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Page title={handover.data ? whose(handover.data) : "Handover"} lead={handover.data && <Stands handover={handover.data} />}>
      <Answer of={handover} rows={6}>
        {(whole) => (
          <>
            <Card title="What was said" aside={<Kept handover={whole} />}>
              <Conversation handover={whole} />
            </Card>
            {whole.status !== "returned" && (
              <Changes>
                <Card title="Your answer">
                  <AnswerForm key={id} handover={whole} />
                </Card>
              </Changes>
            )}
            <Card title="Why">
              <p>{whole.why}</p>
              <p className="mt-1 text-sm text-soft">
                Handed over <When at={whole.opened_at} /> ({instant(whole.opened_at)}), {whole.calls} {whole.calls === 1 ? "call" : "calls"}{" "}
                since. <code className="font-mono text-xs [overflow-wrap:anywhere]">{whole.id}</code>
              </p>
            </Card>
          </>
        )}
      </Answer>
    </Page>
  );
}

function Kept({ handover: { kept_until } }: { handover: HandoverJson }) {
  return kept_until === null ? null : `kept until ${instant(kept_until)}`;
}

/** A log, which screen readers read out as it grows, and which stands at its end. */
function Conversation({ handover }: { handover: WholeHandoverJson }) {
  const log = useRef<HTMLDivElement>(null);
  const turns = turnsOf(handover);
  const { length } = turns;
  useEffect(() => {
    if (length > 0) log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [length]);
  return (
    <div className="grid gap-3">
      {handover.conversation === null && (
        <p className="text-soft">What users and models said is not kept: that is as the ladder says, or its time is over.</p>
      )}
      {length > 0 && (
        <div
          ref={log}
          role="log"
          aria-label="What was said"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled with the keyboard.
          tabIndex={0}
          className="grid max-h-[32rem] gap-3 overflow-y-auto pr-1"
        >
          {turns.map((turn, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: turns have no other name, and stand in their order.
            <Said key={i} {...turn} />
          ))}
        </div>
      )}
    </div>
  );
}

type HumanAnswer = WholeHandoverJson["answers"][number];

/**
 * All that was said. A client that sends on what it got has the answers of people among those of models: there they stand under the name of whoever
 * wrote them, and all others behind.
 */
function turnsOf({ conversation, answers }: WholeHandoverJson): readonly SaidProps[] {
  const found = new Set<HumanAnswer>();
  const turns = (conversation ?? []).map(({ by, text }): SaidProps => {
    const written = by === "user" ? [] : givenTogether(answers, text);
    for (const one of written) found.add(one);
    const [first] = written;
    return first ? { ...answered(first), text } : { who: by === "user" ? "User" : "Assistant", text, isOurs: by !== "user" };
  });
  return [...turns, ...answers.filter((one) => !found.has(one)).map(answered)];
}

/** The answers that a call got together, if these are its text. */
function givenTogether(answers: readonly HumanAnswer[], text: string): readonly HumanAnswer[] {
  const given = answers.filter(({ given_at }) => given_at !== null);
  const groups = given.map(({ given_at }) => given.filter((one) => one.given_at === given_at));
  return groups.find((group) => group.map((one) => one.text).join("\n\n") === text) ?? [];
}

function answered({ by, answered_at, given_at, text }: HumanAnswer): SaidProps {
  const note = (
    <>
      <When at={answered_at} />
      {given_at === null ? (
        <>
          {" "}
          <Badge kind="warn">not read yet</Badge>
        </>
      ) : (
        ", read"
      )}
    </>
  );
  return { who: by, text: text ?? "(not kept)", isOurs: true, isByPerson: true, note };
}

interface SaidProps {
  readonly who: string;
  readonly text: string;
  /** Whether it was said to the user. */
  readonly isOurs: boolean;
  readonly isByPerson?: boolean;
  readonly note?: ReactNode;
}

function Said({ who, text, isOurs, isByPerson = false, note }: SaidProps) {
  const place = isOurs ? "justify-self-end" : "justify-self-start";
  return (
    <div className={`max-w-[min(42rem,88%)] rounded-lg px-3 py-2 ${place} ${isByPerson ? "bg-wash" : "bg-sunk"}`}>
      <p className="flex flex-wrap items-center gap-x-2 text-xs font-medium">
        <span>{who}</span>
        {note !== undefined && <span className="font-normal text-soft">{note}</span>}
      </p>
      <p className="whitespace-pre-wrap text-sm [overflow-wrap:anywhere]">{text}</p>
    </div>
  );
}

/** What is written stays until it was sent, also while others write. */
function AnswerForm({ handover: { id, taken_by, budget, hands_over_again } }: { handover: WholeHandoverJson }) {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const client = useQueryClient();
  const name = useSession().data?.name ?? null;
  const isEmpty = text.trim() === "";
  const isOthers = taken_by !== null && taken_by !== (name ?? "the owner");
  const deed = useMutation({
    mutationFn: (what: "take" | "answer" | "return") => {
      const by = name === null ? {} : { by: name };
      if (what === "take") return api.takeHandover(id, { ...by, over: isOthers });
      if (what === "return" && isEmpty) return api.returnHandover(id, by);
      return api.answerHandover(id, { ...by, text, return: what === "return" });
    },
    onSuccess: (_, what) => {
      if (what !== "answer") return;
      setText("");
      field.current?.focus();
    },
    onSettled: () => client.invalidateQueries({ predicate: ({ queryKey: [name] }) => name === "handovers" || name === "handover" }),
  });
  return (
    <form
      className="grid gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        deed.mutate("answer");
      }}
    >
      <ProseField
        ref={field}
        label="The answer to the next call"
        value={text}
        onChange={(event) => setText(event.target.value)}
        maxLength={ANSWER_MOST}
        required
        rows={4}
        hint={isOthers ? `It is with ${taken_by}: whoever answers has it.` : "Its user gets it with the next call, once."}
      />
      <p role="status" className="text-sm empty:hidden">
        {deed.isSuccess && deed.variables === "answer" && text === "" && "Answered."}
      </p>
      {deed.error && (
        <p role="alert" className="rounded-md bg-over-wash px-3 py-2 text-sm [overflow-wrap:anywhere]">
          {deed.error.message}
        </p>
      )}
      {hands_over_again && (
        <p className="text-sm text-soft">
          Given back now, its next call would be handed over anew: its budget has nothing for it. To let a model go on, give more of{" "}
          <Link to="/budgets/$name" params={{ name: budget }} className="link">
            {budget}
          </Link>{" "}
          first.
        </p>
      )}
      <div className="flex flex-wrap gap-2">
        <Button type="submit" kind="main" disabled={deed.isPending}>
          Answer
        </Button>
        <Button onClick={() => deed.mutate("return")} disabled={deed.isPending}>
          {isEmpty ? "Give back" : "Answer and give back"}
        </Button>
        {(taken_by === null || isOthers) && (
          <Button kind="quiet" onClick={() => deed.mutate("take")} disabled={deed.isPending}>
            {isOthers ? `Take over from ${taken_by}` : "Take"}
          </Button>
        )}
      </div>
    </form>
  );
}
