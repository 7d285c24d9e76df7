import type { Attributes } from "@opentelemetry/api";
import { type Charge, chargeAmounts, type Denial, type KnownAnswer, type Subject, savedNet } from "@purser/core";
import type { Admitted } from "../budgeted-call.ts";
import type { RoutedCall } from "../rungs/climb.ts";
import { ATTRIBUTE, operationName, providerName } from "./names.ts";

/** What a call is, in the few words that metrics can bear. */
export function callAttributes({ endpoint = "", provider = "", model = "" }: Subject): Attributes {
  return {
    [ATTRIBUTE.operation.name]: operationName(endpoint),
    [ATTRIBUTE.provider.name]: providerName(provider),
    [ATTRIBUTE.requestModel.name]: model,
  };
}

/** Whose call it is. */
function subjectAttributes({ team, product, feature, user, tier, task, session, key }: Subject): Attributes {
  return given({
    [ATTRIBUTE.team.name]: team,
    [ATTRIBUTE.product.name]: product,
    [ATTRIBUTE.feature.name]: feature,
    [ATTRIBUTE.user.name]: user,
    [ATTRIBUTE.tier.name]: tier,
    [ATTRIBUTE.task.name]: task,
    [ATTRIBUTE.key.name]: key,
    [ATTRIBUTE.conversation.name]: session,
  });
}

/** What is known of a call when it is sent. */
export function admittedAttributes(call: RoutedCall, decision: Admitted | undefined): Attributes {
  const { subject, rungs, insteadOf, provider, dialect } = call;
  const { stream, copies } = call.call;
  const url = provider.baseUrls[dialect.name];
  return given({
    ...callAttributes(subject),
    ...(dialect.isFree && { [ATTRIBUTE.operation.name]: "count_tokens" }),
    ...subjectAttributes(subject),
    [ATTRIBUTE.stream.name]: stream || undefined,
    [ATTRIBUTE.choices.name]: copies === 1 ? undefined : copies,
    [ATTRIBUTE.maxTokens.name]: outputCap(call, decision),
    [ATTRIBUTE.rungs.name]: rungs && [...rungs],
    [ATTRIBUTE.askedModel.name]: insteadOf?.model,
    [ATTRIBUTE.uncounted.name]: decision?.outcome === "uncounted" || undefined,
    ...(url !== undefined && addressAttributes(url)),
  });
}

/** The cap with which a call goes out; none where neither its caller nor a budget set one. */
function outputCap({ call: { outputCap } }: RoutedCall, decision: Admitted | undefined): number | undefined {
  const held = decision?.outcome === "allowed" && decision.isLimited ? decision.reservation.outputTokens : undefined;
  return held === undefined || outputCap === undefined ? (outputCap ?? held) : Math.min(held, outputCap);
}

function addressAttributes(text: string): Attributes {
  const { hostname, port, protocol } = new URL(text);
  return { [ATTRIBUTE.address.name]: hostname, [ATTRIBUTE.port.name]: Number(port) || (protocol === "http:" ? 80 : 443) };
}

/** What a call used, as it stands in the ledger. */
export function chargedAttributes(charge: Charge): Attributes {
  const { usage, cost, certainty, savings } = charge;
  const amounts = chargeAmounts(charge);
  return given({
    [ATTRIBUTE.inputTokens.name]: usage.inputTokens === undefined ? undefined : amounts.inputTokens,
    [ATTRIBUTE.outputTokens.name]: usage.outputTokens === undefined ? undefined : amounts.outputTokens,
    [ATTRIBUTE.cacheRead.name]: amounts.cacheReadInputTokens || undefined,
    [ATTRIBUTE.cacheWrite.name]: amounts.cacheWriteInputTokens || undefined,
    [ATTRIBUTE.reasoning.name]: amounts.reasoningOutputTokens || undefined,
    [ATTRIBUTE.cost.name]: cost,
    [ATTRIBUTE.certainty.name]: certainty,
    [ATTRIBUTE.saved.name]: savings && savedNet(savings),
  });
}

/** Why a call was refused, and whose. */
export function denialAttributes(subject: Subject, { reason, balance }: Denial): Attributes {
  return given({
    ...subjectAttributes(subject),
    [ATTRIBUTE.refusal.name]: reason,
    [ATTRIBUTE.refusedBy.name]: balance?.budget,
    [ATTRIBUTE.unit.name]: balance?.unit,
    [ATTRIBUTE.limit.name]: balance?.limit,
    [ATTRIBUTE.left.name]: balance?.left,
  });
}

/** Unknown is not there. */
function given(attributes: { readonly [name: string]: Attributes[string] }): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

/** Where an answer that was known is from, and whose call got it. */
export function knownAttributes(subject: Subject, { rung, from, entry, handover, nearness, saved }: KnownAnswer): Attributes {
  return given({
    ...subjectAttributes(subject),
    [ATTRIBUTE.knownBy.name]: rung,
    [ATTRIBUTE.knownFrom.name]: from ?? entry ?? handover,
    [ATTRIBUTE.nearness.name]: nearness,
    [ATTRIBUTE.saved.name]: saved,
  });
}
