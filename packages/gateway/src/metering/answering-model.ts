const NAME_MOST = 256;

/** The model that a provider says has answered, in an answer or an event of any format; nothing where it does not say. */
export function answeringModel(json: unknown): string | undefined {
  const answer = fieldsOf(json);
  const name = answer.model ?? answer.modelVersion ?? fieldsOf(answer.message).model ?? fieldsOf(answer.response).model;
  return typeof name === "string" && name !== "" && name.length <= NAME_MOST ? name : undefined;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
