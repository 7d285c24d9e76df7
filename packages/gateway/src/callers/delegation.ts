import { defineBudget, type Pool, type Subject } from "@purser/core";
import { readLink, signLink } from "../signed-link.ts";
import type { Caller } from "./identify.ts";
import type { Key, Keys } from "./key.ts";

/** A part of what a caller may spend, handed on to an agent of its own. */
export interface Delegation {
  /** `del_…` */
  readonly id: string;
  /** What it is for: `research`. */
  readonly name: string;
  /** Without windows, because it is there once: `["$2", "200k tokens"]`. */
  readonly limits: readonly string[];
  /** Epoch milliseconds. */
  readonly until: number;
}

/** All that a delegated key says. Nothing of it is stored anywhere else. */
export interface Delegated {
  /** The key that it was made from, first or by way of others. It ends with it. */
  readonly key: string;
  readonly subject: Subject;
  /** From the first delegation to this one: each of them holds. */
  readonly chain: readonly Delegation[];
}

const PREFIX = "pkd-";
/** What the secrets of delegated keys look like. */
export const DELEGATED_SECRET = /^pkd-[\w-]+\.[\w-]{43}$/;
/** Callers that are kept at hand for one key; more start over. */
const CALLERS_MOST = 10_000;

/** The secret of a delegated key: what it says, and a signature that none can make who does not have the keys of this gateway. */
export function sealDelegated(delegated: Delegated, seal: Buffer): string {
  return PREFIX + signLink(delegated, seal);
}

const delegates = new WeakMap<Key, Map<string, Caller>>();

/** Who calls with a delegated key; nobody where it was forged or is over, or where the key that it was made from is. */
export function delegateOf(secret: string, keys: Pick<Keys, "signing">, now: number): Caller | undefined {
  if (!DELEGATED_SECRET.test(secret)) return undefined;
  const signed = secret.slice(PREFIX.length);
  const keyId = keyNamedIn(signed);
  const signing = keyId === undefined ? undefined : keys.signing(keyId, now);
  const caller = signing && (delegates.get(signing.key)?.get(secret) ?? verified(secret, signed, signing));
  return caller?.delegated?.chain.every(({ until }) => now < until) ? caller : undefined;
}

/** Nothing of what a text says counts before its signature does. */
function verified(secret: string, signed: string, { key, seal }: NonNullable<ReturnType<Keys["signing"]>>): Caller | undefined {
  const delegated = readLink(signed, seal()) as Delegated | undefined;
  if (!delegated) return undefined;
  const caller = callerWith(key, delegated);
  const known = delegates.get(key);
  if (known && known.size < CALLERS_MOST) known.set(secret, caller);
  else delegates.set(key, new Map([[secret, caller]]));
  return caller;
}

/** It may make calls, and nothing else that the first key may. */
function callerWith(key: Key, delegated: Delegated): Caller {
  const { subject, chain } = delegated;
  return { key: { ...key, role: "caller" }, subject, places: new Map(), delegated, pools: chain.map(poolOf) };
}

function poolOf({ id, name, limits, until }: Delegation): Pool {
  return { budget: defineBudget({ name: poolName({ id, name }), limits }), until };
}

/** Under which name refusals and the ledger speak of a delegation. */
export function poolName({ id, name }: Pick<Delegation, "id" | "name">): string {
  return `${name} (${id})`;
}

/** The key that a text says it was made from: it is checked with that. */
function keyNamedIn(signed: string): string | undefined {
  try {
    const said = JSON.parse(Buffer.from(signed.slice(0, signed.indexOf(".")), "base64url").toString("utf8")) as Partial<Delegated> | null;
    return typeof said?.key === "string" ? said.key : undefined;
  } catch {
    return undefined;
  }
}
