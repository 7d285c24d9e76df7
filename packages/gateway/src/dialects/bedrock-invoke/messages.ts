import type { MessagesForm } from "../dialect.ts";
import { recordOf } from "../json-value.ts";
import { blockSteps, chatSteps, namedBlockSteps, type ToolStep } from "../tool-steps.ts";

/** A turn begins with what the user says. Every maker has messages of its own, and none of them can be taken for those of another. */
export const messages: MessagesForm = {
  member: "messages",
  beginsTurn: (message) => recordOf(message).role === "user" && toolSteps(message).length === 0,
  toolSteps,
};

function toolSteps(message: unknown): readonly ToolStep[] {
  return [...chatSteps(message), ...blockSteps(message), ...namedBlockSteps(message)];
}
