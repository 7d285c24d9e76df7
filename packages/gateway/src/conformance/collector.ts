import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { gunzipSync } from "node:zlib";

export type Attributes = Readonly<Record<string, unknown>>;

export interface ReceivedSpan {
  readonly name: string;
  readonly kind: "INTERNAL" | "SERVER" | "CLIENT";
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly isError: boolean;
  readonly attributes: Attributes;
  readonly resource: Attributes;
}

/** One series of a metric, as it stood last. */
export interface ReceivedPoint {
  readonly metric: string;
  readonly unit: string;
  readonly attributes: Attributes;
  /** The sum of a histogram, or the value of a counter. */
  readonly sum: number;
  readonly count: number | undefined;
  readonly bounds: readonly number[] | undefined;
}

export interface Collector {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly points: readonly ReceivedPoint[];
  /** Every body as it came. */
  readonly texts: readonly string[];
  readonly headers: readonly IncomingMessage["headers"][];
}

const KINDS: Readonly<Record<number, ReceivedSpan["kind"]>> = { 1: "INTERNAL", 2: "SERVER", 3: "CLIENT" };

/** Takes OTLP over HTTP in JSON and reads it, or does what collectors do on bad days. */
export async function startCollector(
  context: TestContext,
  answer: (response: ServerResponse) => void = (response) => response.writeHead(200, { "content-type": "application/json" }).end("{}"),
): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const points = new Map<string, ReceivedPoint>();
  const texts: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const text = (request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body).toString("utf8");
    texts.push(text);
    headers.push(request.headers);
    const json = JSON.parse(text);
    if (request.url === "/v1/traces") spans.push(...spansOf(json));
    else for (const point of pointsOf(json)) points.set(point.metric + JSON.stringify(point.attributes), point);
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    get points() {
      return [...points.values()];
    },
    texts,
    headers,
  };
}

/** A message of OTLP in JSON: what it says is checked by what is asserted of it. */
// biome-ignore lint/suspicious/noExplicitAny: the format has dozens of shapes, of which these are read.
type Message = any;

function spansOf({ resourceSpans }: Message): readonly ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }: Message) =>
    scopeSpans.flatMap(({ spans }: Message) =>
      spans.map(
        (span: Message): ReceivedSpan => ({
          name: span.name,
          kind: KINDS[span.kind] ?? "INTERNAL",
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId,
          start: BigInt(span.startTimeUnixNano),
          end: BigInt(span.endTimeUnixNano),
          isError: span.status?.code === 2,
          attributes: attributesOf(span.attributes),
          resource: attributesOf(resource.attributes),
        }),
      ),
    ),
  );
}

function pointsOf({ resourceMetrics }: Message): readonly ReceivedPoint[] {
  return resourceMetrics.flatMap(({ scopeMetrics }: Message) =>
    scopeMetrics.flatMap(({ metrics }: Message) =>
      metrics.flatMap((metric: Message) =>
        (metric.histogram ?? metric.sum).dataPoints.map(
          (point: Message): ReceivedPoint => ({
            metric: metric.name,
            unit: metric.unit,
            attributes: attributesOf(point.attributes),
            sum: Number(point.sum ?? point.asDouble ?? point.asInt),
            count: point.count === undefined ? undefined : Number(point.count),
            bounds: point.explicitBounds,
          }),
        ),
      ),
    ),
  );
}

function attributesOf(list: Message): Attributes {
  return Object.fromEntries((list ?? []).map(({ key, value }: Message) => [key, plainValue(value)]));
}

function plainValue(value: Message): unknown {
  if (value.arrayValue) return value.arrayValue.values.map(plainValue);
  return value.stringValue ?? value.boolValue ?? Number(value.intValue ?? value.doubleValue);
}
