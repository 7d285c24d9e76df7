/** A request to the admin API, already authenticated as one of the owner. */
export interface AdminRequest {
  readonly method: string;
  /** Without the query: `/api/budgets`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
}

/** An answer of the admin API: JSON, or an RFC 9457 problem where the status is 400 or above. */
export interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
}

export type Admin = (request: AdminRequest) => Promise<AdminResponse>;
