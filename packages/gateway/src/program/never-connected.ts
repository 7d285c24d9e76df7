/** What connections fail with before anything is written to them: no address, no route, nobody there, not who it should be. */
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_ALTNAME_INVALID|CERT_.+|.*SELF_SIGNED_CERT.*|UNABLE_TO_.+_CERT.*)$/;
const CAUSES_MOST = 8;

/** Whether what was sent surely did not reach anybody. `fetch` says why in the cause of its error, or in a cause of that. */
export function wasNeverConnected(error: unknown): boolean {
  let cause = error;
  for (let i = 0; i < CAUSES_MOST && cause instanceof Error; i++) {
    if ("code" in cause && NEVER_CONNECTED.test(String(cause.code))) return true;
    cause = cause.cause;
  }
  return false;
}
