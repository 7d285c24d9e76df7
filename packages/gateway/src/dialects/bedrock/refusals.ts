/** What a stream of Bedrock says instead of an answer, with the status that it would have been. */
const REFUSALS: Readonly<Record<string, number>> = {
  validationException: 400,
  throttlingException: 429,
  internalServerException: 500,
  serviceUnavailableException: 503,
};

/** The status of a refusal that came as an event, by the name of the event. */
export function refusedAs(event: Readonly<Record<string, unknown>>): number | undefined {
  for (const [name, status] of Object.entries(REFUSALS)) if (event[name] !== undefined) return status;
  return undefined;
}
