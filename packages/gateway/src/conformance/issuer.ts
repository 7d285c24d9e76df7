import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

/** What an ID token says beside what it must; and what a forger would have it say. */
export interface Forged {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly expiresAt?: number;
  /** Signs with a key that is not the issuer's. */
  readonly isForeign?: boolean;
}

export interface Issuer {
  readonly url: string;
  /** Who signs in by themselves when a browser comes; nobody at first. */
  visitor: Readonly<Record<string, unknown>> | undefined;
  /** Lets somebody sign in at the address where a browser was sent, and returns the address to which they are sent back. */
  signIn(location: string, claims: Readonly<Record<string, unknown>>, forged?: Forged): URL;
}

interface Grant {
  readonly challenge: string;
  readonly redirectUri: string;
  readonly nonce: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly forged: Forged;
}

export const CLIENT = { id: "purser", secret: "the secret of the client" } as const;

/** A provider of identities that checks what one must check, and says what a test wants it to say. */
export async function startIssuer(context: TestContext): Promise<Issuer> {
  const own = await generateKeyPair("RS256");
  const foreign = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(own.publicKey)), kid: "k1", alg: "RS256", use: "sig" };
  const grants = new Map<string, Grant>();
  let codes = 0;

  const tokenFor = (grant: Grant) => {
    const { claims, expiresAt, isForeign } = grant.forged;
    const now = Math.floor(Date.now() / 1_000);
    const payload: JWTPayload = { iss: url, aud: CLIENT.id, sub: "s-1", iat: now, nonce: grant.nonce, ...grant.claims, ...claims };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: "RS256", kid: "k1" })
      .setExpirationTime(expiresAt ?? now + 300)
      .sign(isForeign ? foreign.privateKey : own.privateKey);
  };

  const exchange = async (form: URLSearchParams, authorization: string | undefined): Promise<{ status: number; body: object }> => {
    const refused = (error: string) => ({ status: 400, body: { error } });
    const [id, secret] = Buffer.from(authorization?.replace("Basic ", "") ?? "", "base64")
      .toString("utf8")
      .split(":")
      .map((part) => decodeURIComponent(part.replaceAll("+", " ")));
    const shown = authorization ? [id, secret] : [form.get("client_id"), form.get("client_secret")];
    if (shown[0] !== CLIENT.id || shown[1] !== CLIENT.secret) return { status: 401, body: { error: "invalid_client" } };
    const code = form.get("code") ?? "";
    const grant = grants.get(code);
    grants.delete(code);
    if (!grant || grant.redirectUri !== form.get("redirect_uri")) return refused("invalid_grant");
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (challenge !== grant.challenge) return refused("invalid_grant");
    return { status: 200, body: { access_token: "a", token_type: "Bearer", expires_in: 300, id_token: await tokenFor(grant) } };
  };

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const answers: Readonly<Record<string, () => object>> = {
      "/.well-known/openid-configuration": () => ({
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/jwks`,
        response_types_supported: ["code"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        code_challenge_methods_supported: ["S256"],
      }),
      "/jwks": () => ({ keys: [jwk] }),
    };
    if (request.url?.startsWith("/authorize") && issuer.visitor) {
      response.writeHead(302, { location: issuer.signIn(url + request.url, issuer.visitor).href }).end();
      return;
    }
    const { status, body } =
      request.url === "/token"
        ? await exchange(new URLSearchParams(Buffer.concat(chunks).toString("utf8")), request.headers.authorization)
        : { status: 200, body: answers[request.url ?? ""]?.() ?? {} };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: Issuer = {
    url,
    visitor: undefined,
    signIn(location, claims, forged = {}) {
      const { searchParams } = new URL(location);
      const asked = (name: string) => searchParams.get(name) ?? "";
      const code = `code-${++codes}`;
      const redirectUri = asked("redirect_uri");
      grants.set(code, { challenge: asked("code_challenge"), redirectUri, nonce: asked("nonce"), claims, forged });
      const back = new URL(redirectUri);
      back.searchParams.set("code", code);
      back.searchParams.set("state", asked("state"));
      return back;
    },
  };
  return issuer;
}
