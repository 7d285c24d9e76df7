import { randomUUID } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Context } from "@opentelemetry/api";
import { PurserError } from "@purser/core";
import type { TelemetryConfig } from "../config/config.ts";
import { type Lost, SpanQueue, timed } from "./export.ts";
import { Instruments } from "./instruments.ts";
import { Telemetry } from "./telemetry.ts";

/** Telemetry that is sent to a collector. */
export interface RunningTelemetry {
  readonly events: Telemetry;
  /** The headers that continue a call's trace at its provider; nothing of a call that is not known. */
  traceHeaders(id: string): readonly string[] | undefined;
  /** Sends what is left, for a short while, and lets go of the collector. */
  close(): Promise<void>;
}

const SCOPE = "purser";
/** A collector that does not answer within this has got nothing. */
const EXPORT_TIMEOUT_MS = 5_000;
/** Whatever it does: no export, repetitions included, takes longer than this. */
const EXPORT_MOST_MS = 15_000;
const METRICS_EVERY_MS = 60_000;
const CLOSE_MOST_MS = 2_000;
/** Callers name models, and every series is kept and sent for ever: what is beyond is counted together. */
const SERIES_MOST = 1_000;

/** Loads OpenTelemetry and connects it with the collector. Nothing of it is loaded elsewhere, nor registered for the whole process. */
export async function openTelemetry(config: TelemetryConfig, onLost: Lost): Promise<RunningTelemetry> {
  const { api, core, resources, trace, metrics, transport, serializers } = await load();
  const resource = resources.resourceFromAttributes({
    ...config.attributes,
    "service.name": config.serviceName,
    // Each process counts for itself.
    "service.instance.id": randomUUID(),
  });
  const agent = config.otlp.startsWith("https:") ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const options = (path: string) => ({
    url: `${config.otlp}${path}`,
    headers: async () => ({ ...config.headers, "content-type": "application/json" }),
    timeoutMillis: EXPORT_TIMEOUT_MS,
    concurrencyLimit: 4,
    compression: "gzip" as const,
    agentFactory: () => agent,
  });
  const hangUp = () => agent.destroy();
  const { JsonTraceSerializer, JsonMetricsSerializer, TraceExporterMetricsHelper, MetricsExporterMetricsHelper } = serializers;
  const { createOtlpHttpExportDelegate } = transport;
  const sendSpans = createOtlpHttpExportDelegate(
    options("/v1/traces"),
    JsonTraceSerializer,
    "otlp_http_json_span_exporter",
    TraceExporterMetricsHelper,
    undefined,
  );
  const sendMetrics = createOtlpHttpExportDelegate(
    options("/v1/metrics"),
    JsonMetricsSerializer,
    "otlp_http_json_metric_exporter",
    MetricsExporterMetricsHelper,
    undefined,
  );
  const queue = new SpanQueue(
    (exporter) => new trace.BatchSpanProcessor({ exporter, maxQueueSize: SpanQueue.MOST, exportTimeoutMillis: EXPORT_MOST_MS }),
    timed(sendSpans, { mostMs: EXPORT_MOST_MS, hangUp }),
    onLost,
  );
  const spans = new trace.TracerProvider({
    resource,
    sampler: new trace.ParentBasedSampler({ root: new trace.TraceIdRatioBasedSampler(config.sample) }),
    spanLimits: { attributeValueLengthLimit: 1_024 },
    spanProcessors: [queue],
  });
  const sendCounted = timed(sendMetrics, { mostMs: EXPORT_MOST_MS, hangUp });
  const meters = new metrics.MeterProvider({
    resource,
    readers: [
      new metrics.PeriodicExportingMetricReader({
        exporter: {
          export: (batch, done) =>
            sendCounted.export(batch, (result) => {
              if (result.code !== core.ExportResultCode.SUCCESS) onLost("metrics", 1);
              done(result);
            }),
          forceFlush: () => sendCounted.forceFlush(),
          shutdown: () => sendCounted.shutdown(),
        },
        exportIntervalMillis: METRICS_EVERY_MS,
        exportTimeoutMillis: EXPORT_MOST_MS,
        cardinalityLimits: { default: SERIES_MOST },
      }),
    ],
  });

  const w3c = new core.W3CTraceContextPropagator();
  const parts = {
    parentOf: (headers: object) => w3c.extract(api.ROOT_CONTEXT, headers, api.defaultTextMapGetter),
    within: (context: Context, span: Parameters<typeof api.trace.setSpan>[1]) => api.trace.setSpan(context, span),
  };
  const events = new Telemetry(parts, spans.getTracer(SCOPE), new Instruments(meters.getMeter(SCOPE)));
  return {
    events,
    traceHeaders(id) {
      const context = events.contextOf(id);
      if (!context) return undefined;
      const headers: Record<string, string> = {};
      w3c.inject(context, headers, api.defaultTextMapSetter);
      return Object.entries(headers).flat();
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSE_MOST_MS);
      });
      // What cannot be sent is counted as lost, and nobody waits for it.
      await Promise.race([Promise.allSettled([spans.shutdown(), meters.shutdown()]), late]);
      clearTimeout(timer);
      hangUp();
    },
  };
}

async function load() {
  try {
    const [api, core, resources, trace, metrics, transport, serializers] = await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/core"),
      import("@opentelemetry/resources"),
      import("@opentelemetry/sdk-trace"),
      import("@opentelemetry/sdk-metrics"),
      import("@opentelemetry/otlp-exporter-base/node-http"),
      import("@opentelemetry/otlp-transformer"),
    ]);
    return { api, core, resources, trace, metrics, transport, serializers };
  } catch (cause) {
    throw new PurserError(
      "config_invalid",
      "telemetry needs the packages of OpenTelemetry, which were left out when Purser was installed. Install it without --omit=optional, or leave out telemetry in purser.yaml.",
      { cause },
    );
  }
}
