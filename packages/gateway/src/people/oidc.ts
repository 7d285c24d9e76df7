import type { IncomingHttpHeaders } from "node:http";
import type { Configuration } from "openid-client";
import type { OidcConfig } from "../config/config.ts";
import { isLoopback } from "../config/loopback.ts";
import { readLink, signLink } from "../signed-link.ts";
import { nameProblem, type Person, type PersonRole } from "./person.ts";

export interface OidcOptions {
  readonly config: () => OidcConfig | undefined;
  /** Signs what a browser keeps while its owner is elsewhere. */
  readonly key: Buffer;
  /** Where people reach this server; never what a request says. */
  readonly baseUrl: () => string;
  readonly isSecure: () => boolean;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** Why somebody was not let in: `message` for them, `why` for the audit log. */
export class NotSignedIn extends Error {
  readonly why: string;

  constructor(message: string, why: string, cause?: unknown) {
    super(message, { cause });
    this.why = why;
  }
}

export interface Began {
  readonly location: string;
  readonly cookie: string;
}

/** What a browser keeps while its owner is at the provider of identities. */
interface Pending {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
  readonly issuer: string;
  /** Epoch milliseconds. */
  readonly ends: number;
}

export const OIDC_PATH = "/session/oidc";
export const OIDC_CALLBACK_PATH = "/session/oidc/callback";
const COOKIE = "purser_oidc";
const LASTS_MS = 10 * 60_000;
const TIMEOUT_SECONDS = 10;
/** What a provider says of itself is asked again after this. */
const DISCOVERED_FOR_MS = 3_600_000;
/** From the highest on: who is in several groups has the most that any of them gives. */
const ROLES = ["admin", "viewer", "member"] as const satisfies readonly PersonRole[];

/** Signing in by way of a provider of identities: authorization code flow with PKCE, state and nonce. */
export class Oidc {
  readonly #options: OidcOptions;
  readonly #now: () => number;
  #discovered: { readonly config: OidcConfig; readonly at: number; readonly client: Promise<Configuration> } | undefined;

  constructor(options: OidcOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Where to send a browser, and the cookie that it is to bring back. */
  async begin(returnTo: string | null): Promise<Began> {
    const config = this.#config();
    const lib = await import("openid-client");
    const client = await this.#client(config);
    const pending: Pending = {
      state: lib.randomState(),
      nonce: lib.randomNonce(),
      verifier: lib.randomPKCECodeVerifier(),
      returnTo: ownPath(returnTo),
      issuer: config.issuer,
      ends: this.#now() + LASTS_MS,
    };
    const location = lib.buildAuthorizationUrl(client, {
      redirect_uri: this.#callback(),
      scope: config.scopes.join(" "),
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await lib.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: "S256",
    });
    return { location: location.href, cookie: this.#cookie(signLink(pending, this.#options.key), LASTS_MS / 1_000) };
  }

  /** Who came back, and where they wanted to go. Throws `NotSignedIn`. */
  async finish(query: URLSearchParams, headers: IncomingHttpHeaders): Promise<{ readonly person: Person; readonly returnTo: string }> {
    const config = this.#config();
    const pending = this.#pending(headers);
    if (!pending || pending.issuer !== config.issuer || pending.ends <= this.#now())
      throw new NotSignedIn("This sign-in began in another browser, or too long ago. Begin again.", "nothing was begun in this browser");
    const lib = await import("openid-client");
    const client = await this.#client(config);
    const url = new URL(`${this.#callback()}?${query}`);
    let claims: Claims;
    try {
      const tokens = await lib.authorizationCodeGrant(client, url, {
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        pkceCodeVerifier: pending.verifier,
        idTokenExpected: true,
      });
      const said = tokens.claims();
      if (!said) throw new Error("no ID token came");
      const isMissing = claimAt(said, config.roles.claim) === undefined && client.serverMetadata().userinfo_endpoint !== undefined;
      claims = isMissing ? { ...(await lib.fetchUserInfo(client, tokens.access_token, said.sub)), ...said } : said;
    } catch (error) {
      throw new NotSignedIn("The sign-in could not be confirmed. Begin again, or ask whoever runs this.", reasonOf(error), error);
    }
    return { person: personOf(config, claims), returnTo: pending.returnTo };
  }

  /** The value of `Set-Cookie` that takes back what a browser kept. */
  forget(): string {
    return this.#cookie("", 0);
  }

  #config(): OidcConfig {
    const config = this.#options.config();
    if (config) return config;
    throw new NotSignedIn("One signs in here by name, or with a token or key.", "login.oidc is not configured");
  }

  #callback(): string {
    return this.#options.baseUrl() + OIDC_CALLBACK_PATH;
  }

  #pending({ cookie = "" }: IncomingHttpHeaders): Pending | undefined {
    const [, value] = new RegExp(`(?:^|;)\\s*${COOKIE}=([\\w.-]+)`).exec(cookie) ?? [];
    return value === undefined ? undefined : (readLink(value, this.#options.key) as Pending | undefined);
  }

  /** Lax, and not strict as the session's: it has to come along when the provider sends the browser back. */
  #cookie(value: string, seconds: number): string {
    const secure = this.#options.isSecure() ? "; Secure" : "";
    return `${COOKIE}=${value}; Path=${OIDC_PATH}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  }

  async #client(config: OidcConfig): Promise<Configuration> {
    const known = this.#discovered;
    if (known?.config === config && this.#now() - known.at < DISCOVERED_FOR_MS) return known.client;
    const client = discover(config);
    this.#discovered = { config, at: this.#now(), client };
    try {
      return await client;
    } catch (error) {
      this.#discovered = undefined;
      throw new NotSignedIn("The provider of identities does not answer. Try again in a moment.", reasonOf(error), error);
    }
  }
}

async function discover({ issuer, clientId, clientSecret }: OidcConfig): Promise<Configuration> {
  const lib = await import("openid-client");
  const url = new URL(issuer);
  const execute = [lib.enableNonRepudiationChecks];
  // Without TLS only what does not leave this machine.
  if (url.protocol === "http:" && isLoopback(url.hostname)) execute.push(lib.allowInsecureRequests);
  const authentication = clientSecret === undefined ? lib.None() : undefined;
  return lib.discovery(url, clientId, clientSecret, authentication, { execute, timeout: TIMEOUT_SECONDS });
}

type Claims = Readonly<Record<string, unknown>>;

/** Who the claims say somebody is, and what that gives them. */
function personOf(config: OidcConfig, claims: Claims): Person {
  const { name: claim, roles, otherwise } = config;
  const name = claims[claim];
  if (typeof name !== "string" || nameProblem(name) !== undefined)
    throw new NotSignedIn(
      "The provider of identities does not say who you are in a way that is understood here.",
      `no name in the claim ${claim}`,
    );
  // Whoever may write any address into their own account would be anybody.
  if (claim === "email" && claims.email_verified === false)
    throw new NotSignedIn("Your e-mail address is not confirmed at the provider of identities.", `${name}: email_verified is false`);
  const groups = [claimAt(claims, roles.claim)].flat().filter((group) => typeof group === "string");
  const role = ROLES.find((one) => roles[one].some((wanted) => groups.includes(wanted))) ?? otherwise;
  if (role === "refuse")
    throw new NotSignedIn(
      `${name} is known, and may not look at this. Ask whoever runs it.`,
      `${name}: no role in the claim ${roles.claim}`,
    );
  return { name, role, attributes: {} };
}

/** A claim by its name, or by a path to it: `realm_access.roles`. */
function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  return path.split(".").reduce<unknown>((value, name) => {
    const isRecord = typeof value === "object" && value !== null && Object.hasOwn(value, name);
    return isRecord ? (value as Claims)[name] : undefined;
  }, claims);
}

/** A path of this server; its beginning for anything that could lead elsewhere. */
function ownPath(path: string | null): string {
  const HERE = "http://here.invalid";
  if (path === null || !/^\/[^/\\]/.test(path) || !URL.canParse(path, HERE)) return "/";
  const url = new URL(path, HERE);
  // `/.//elsewhere` is only then two slashes at the beginning.
  return url.origin === HERE && !url.pathname.startsWith("//") ? url.pathname + url.search : "/";
}

const REASON_MOST = 200;

function reasonOf(error: unknown): string {
  const { code, message, cause } = error as { code?: unknown; message?: unknown; cause?: { readonly message?: unknown } };
  const parts = [code, message, cause?.message].filter((part) => typeof part === "string");
  return [...new Set(parts)].join(": ").slice(0, REASON_MOST);
}
