import type { DialectName } from "../providers/provider.ts";
import type { Json } from "./calls.ts";

/** A tool that was called, and what came of it. */
export interface Called {
  readonly tool: string;
  readonly input: Json;
  readonly result: string;
  readonly isError?: boolean;
}

/** What a conversation consists of: something that the user says, or tools that the model called at once. */
export type Said = string | readonly Called[];

/** A conversation as each format writes it, by the field that its messages stand in. Ids are other ones each time, as they are. */
export const CONVERSATIONS: Partial<Record<DialectName, (said: readonly Said[]) => Json>> = {
  "openai-chat": chat((input) => JSON.stringify(input)),
  "cohere-chat": chat((input) => JSON.stringify(input)),
  "ollama-chat": (said) => ({
    messages: said.flatMap((one): Json[] =>
      typeof one === "string"
        ? [{ role: "user", content: one }]
        : [
            { role: "assistant", content: "", tool_calls: one.map(({ tool, input }) => ({ function: { name: tool, arguments: input } })) },
            ...one.map(({ tool, result }) => ({ role: "tool", tool_name: tool, content: result })),
          ],
    ),
  }),
  "openai-responses": (said) => ({
    input: said.flatMap((one, turn): Json[] =>
      typeof one === "string"
        ? [{ role: "user", content: one }]
        : [
            { type: "reasoning", id: `rs_${turn}`, summary: [] },
            ...one.map(({ tool, input }, i) => ({
              type: "function_call",
              id: `fc_${turn}_${i}`,
              call_id: `call_${turn}_${i}`,
              name: tool,
              arguments: JSON.stringify(input),
            })),
            ...one.map(({ result }, i) => ({ type: "function_call_output", call_id: `call_${turn}_${i}`, output: result })),
          ],
    ),
  }),
  "anthropic-messages": blocks,
  "vertex-messages": blocks,
  "bedrock-invoke": blocks,
  "bedrock-converse": (said) => ({
    messages: said.flatMap((one, turn): Json[] =>
      typeof one === "string"
        ? [{ role: "user", content: [{ text: one }] }]
        : [
            {
              role: "assistant",
              content: one.map(({ tool, input }, i) => ({ toolUse: { toolUseId: `t_${turn}_${i}`, name: tool, input } })),
            },
            {
              role: "user",
              content: one.map(({ result, isError }, i) => ({
                toolResult: { toolUseId: `t_${turn}_${i}`, content: [{ text: result }], status: isError ? "error" : "success" },
              })),
            },
          ],
    ),
  }),
  "gemini-content": contents,
  "vertex-content": contents,
  "gemini-interactions": (said) => ({
    input: said.flatMap((one, turn): Json[] =>
      typeof one === "string"
        ? [{ type: "user_input", content: [{ type: "text", text: one }] }]
        : [
            { type: "thought", signature: `s${turn}` },
            ...one.map(({ tool, input }, i) => ({ type: "function_call", id: `f_${turn}_${i}`, name: tool, arguments: input })),
            ...one.map(({ tool, result, isError = false }, i) => ({
              type: "function_result",
              call_id: `f_${turn}_${i}`,
              name: tool,
              result,
              is_error: isError,
            })),
          ],
    ),
  }),
};

function chat(written: (input: Json) => Json) {
  return (said: readonly Said[]) => ({
    messages: said.flatMap((one, turn): Json[] =>
      typeof one === "string"
        ? [{ role: "user", content: one }]
        : [
            {
              role: "assistant",
              tool_calls: one.map(({ tool, input }, i) => ({
                id: `call_${turn}_${i}`,
                type: "function",
                function: { name: tool, arguments: written(input) },
              })),
            },
            ...one.map(({ result }, i) => ({ role: "tool", tool_call_id: `call_${turn}_${i}`, content: result })),
          ],
    ),
  });
}

/** As the clients of Anthropic send it, a mark for the cache moves on with the end. */
function blocks(said: readonly Said[]): Json {
  const messages = said.flatMap((one, turn): Json[] =>
    typeof one === "string"
      ? [{ role: "user", content: one }]
      : [
          {
            role: "assistant",
            content: [
              { type: "text", text: `Step ${turn}` },
              ...one.map(({ tool, input }, i) => ({ type: "tool_use", id: `toolu_${turn}_${i}`, name: tool, input })),
            ],
          },
          {
            role: "user",
            content: one.map(({ result, isError }, i) => ({
              type: "tool_result",
              tool_use_id: `toolu_${turn}_${i}`,
              content: [{ type: "text", text: result, ...(turn === said.length - 1 && { cache_control: { type: "ephemeral" } }) }],
              ...(isError && { is_error: true }),
            })),
          },
        ],
  );
  return { messages };
}

function contents(said: readonly Said[]): Json {
  return {
    contents: said.flatMap((one): Json[] =>
      typeof one === "string"
        ? [{ role: "user", parts: [{ text: one }] }]
        : [
            { role: "model", parts: one.map(({ tool, input }) => ({ functionCall: { name: tool, args: input } })) },
            {
              role: "user",
              parts: one.map(({ tool, result, isError }) => ({
                functionResponse: { name: tool, response: isError ? { error: result } : { output: result } },
              })),
            },
          ],
    ),
  };
}
