import type { Style } from "../cli/style.ts";

export interface IntroductionParts {
  readonly url: string;
  readonly secret: string;
  /** The owner's, which signs in to the dashboard of a demo that ends with this terminal. */
  readonly token: string;
  /** How the command line is called from here: `npx purser`. */
  readonly program: string;
  readonly style: Style;
}

/** What the demo says when it is up. Everything in it works when pasted into another terminal. */
export function introduction({ url, secret, token, program, style }: IntroductionParts): string {
  const { bold, dim } = style;
  const ask = (feature: string, body: object) => [
    `curl ${url}/v1/chat/completions \\`,
    `  -H "Authorization: Bearer ${secret}" -H "content-type: application/json" \\`,
    `  -H "x-purser-user: ann" -H "x-purser-feature: ${feature}" \\`,
    `  -d '${JSON.stringify(body)}'`,
  ];
  const messages = [{ role: "user", content: "What does a purser do?" }];
  const sections: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ["1. Make a call", ask("chat", { model: "demo-1", messages })],
    [
      "   the same as a stream",
      [
        `curl -N ${url}/v1/chat/completions -H "Authorization: Bearer ${secret}" -H "content-type: application/json" -d '${JSON.stringify({ model: "demo-1", stream: true, messages })}'`,
      ],
    ],
    [
      "   or from a program",
      [
        'import OpenAI from "openai";',
        `const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "${secret}" });`,
        'const answer = await client.chat.completions.create({ model: "demo-1", messages: [{ role: "user", content: "Hello" }] });',
        "console.log(answer.choices[0].message.content, answer.usage);",
      ],
    ],
    ["2. Be refused: a tiny budget has room for one answer. Send this twice", ask("tiny", { model: "demo-1", messages })],
    ["3. See where the money went", [`${program} budgets`]],
  ];
  return [
    "",
    `${bold("Purser is up:")} ${url}   ${dim("a demo with a provider of its own; no provider's key is needed")}`,
    `${bold("Dashboard:")}    ${url}/#token=${token}`,
    `${bold("Your key:")}     ${secret}   ${dim("valid until the demo ends")}`,
    "",
    ...sections.flatMap(([title, lines]) => [bold(title), "", ...lines.map((line) => `  ${line}`), ""]),
    `${bold("With real providers:")} write a purser.yaml with ${bold("providers: { openai: { api_key: $" + "{OPENAI_API_KEY} } }")} and your budgets,`,
    "and start again. Then point your programs' base URL here, and give each a key from " +
      bold(`${program} keys create --name NAME`) +
      ".",
    "",
    dim("Ctrl-C ends the demo."),
    "",
  ].join("\n");
}
