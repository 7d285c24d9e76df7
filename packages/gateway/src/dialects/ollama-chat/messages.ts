import type { MessagesForm } from "../dialect.ts";
import { recordOf } from "../json-value.ts";
import { chatSteps } from "../tool-steps.ts";

/** A turn begins with what the user says. What tools returned has no ids, and stands in the order of the calls. */
export const messages: MessagesForm = {
  member: "messages",
  beginsTurn: (message) => recordOf(message).role === "user",
  toolSteps: chatSteps,
};
