import { OPERATIONS, type Operations } from "./operations.ts";

export type * from "./operations.ts";

export interface AdminClientOptions {
  /** Where the gateway is: `http://127.0.0.1:4100`; with a path where a proxy in front of it has one for it, `https://example.com/purser`. */
  readonly url: string;
  /** A key with the role that the operations need, or the owner's token. None while everybody on its machine is the owner. */
  readonly key?: string;
  /** Another `fetch`, for tests and for proxies. */
  readonly fetch?: typeof fetch;
}

/** An answer that says no: an RFC 9457 problem, whose `code` has a page in the reference. */
export class AdminProblem extends Error {
  readonly status: number;
  readonly code: string;
  /** The whole problem, with what it says beside its code and its text; nothing where the answer was no JSON. */
  readonly problem: unknown;

  constructor(status: number, code: string, detail: string, problem?: unknown) {
    super(detail);
    this.name = "AdminProblem";
    this.status = status;
    this.code = code;
    this.problem = problem;
  }
}

/** Every operation of the admin API as a function, by the name that its description gives it. */
export type AdminClient = {
  readonly [Name in keyof Operations]: (...input: InputOf<Operations[Name]["input"]>) => Promise<Operations[Name]["answer"]>;
};

/** What is all optional can be left out. */
type InputOf<Input> = Record<string, never> extends Input ? [input?: Aborted<Input>] : [input: Aborted<Input>];

/** What an operation asks, and a signal that ends the wait for its answer. */
type Aborted<Input> = (string extends keyof Input ? unknown : Input) & { readonly signal?: AbortSignal };

/** A client of the admin API. Throws `AdminProblem` for whatever the gateway does not do, and what `fetch` throws where it cannot be reached. */
export function createAdminClient(options: AdminClientOptions): AdminClient {
  const functions = Object.entries(OPERATIONS).map(([name, [method, path]]) => [
    name,
    (input: AnyInput = {}) => ask(options, method, path, input),
  ]);
  return Object.fromEntries(functions) as AdminClient;
}

type Value = string | number | boolean;

interface AnyInput {
  readonly path?: Readonly<Record<string, Value>>;
  readonly query?: Readonly<Record<string, Value | readonly Value[] | undefined>>;
  readonly headers?: Readonly<Record<string, Value | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

async function ask({ url, key, fetch: send = fetch }: AdminClientOptions, method: string, path: string, input: AnyInput): Promise<unknown> {
  const { query = {}, body, signal } = input;
  const target = new URL(url.replace(/\/*$/, "") + filled(path, input.path ?? {}));
  for (const [name, value] of Object.entries(query)) for (const one of [value ?? []].flat()) target.searchParams.append(name, String(one));
  const headers = new Headers({ accept: "application/json" });
  if (key !== undefined) headers.set("authorization", `Bearer ${key}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  for (const [name, value] of Object.entries(input.headers ?? {})) if (value !== undefined) headers.set(name, String(value));
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }), ...(signal && { signal }) };
  const response = await send(target, init);
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  throw problemOf(response.status, answer);
}

function filled(path: string, values: Readonly<Record<string, Value>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined || value === "") throw new TypeError(`"path.${name}" is missing.`);
    return encodeURIComponent(String(value));
  });
}

/** Problems say it in `detail`; refusals of calls, in the form of a provider, in `error`. */
function problemOf(status: number, answer: unknown): AdminProblem {
  const { code, detail, error } = (answer ?? {}) as { code?: unknown; detail?: unknown; error?: { code?: unknown; message?: unknown } };
  const text = detail ?? error?.message;
  return new AdminProblem(
    status,
    String(code ?? error?.code ?? "internal"),
    typeof text === "string" ? text : `The gateway answered ${status}.`,
    answer,
  );
}
