import { randomUUID } from "node:crypto";
import type { Context } from "@opentelemetry/api";
import type { IExporterMetricsHelper, ISerializer } from "@opentelemetry/otlp-transformer";
import { PurserError } from "@purser/core";
import type { TelemetryConfig } from "../config/config.ts";
import { Collector } from "./collector.ts";
import { type Lost, SpanQueue } from "./export.ts";
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
/** What a collector did not take within this, repetitions included, is given up. */
const EXPORT_MOST_MS = 10_000;
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
  const collector = new Collector();
  const delegate = <Batch, Answer>(
    path: string,
    type: string,
    serializer: ISerializer<Batch, Answer>,
    metricsHelper: IExporterMetricsHelper<Batch>,
  ) =>
    transport.createOtlpNetworkExportDelegate(
      { timeoutMillis: EXPORT_MOST_MS, concurrencyLimit: 2, compression: "gzip" },
      serializer,
      // How well exports go is counted by us, where operators look.
      new transport.ExporterMetrics({
        componentType: type,
        metricsHelper,
        url: undefined,
        meterProvider: undefined,
        responseAttributesFromError: () => ({}),
      }),
      collector.to(`${config.otlp}${path}`, config.headers),
    );
  const { JsonTraceSerializer, JsonMetricsSerializer, TraceExporterMetricsHelper, MetricsExporterMetricsHelper } = serializers;
  const queue = new SpanQueue(
    (exporter) => new trace.BatchSpanProcessor({ exporter, maxQueueSize: SpanQueue.MOST, exportTimeoutMillis: EXPORT_MOST_MS }),
    delegate("/v1/traces", "otlp_http_json_span_exporter", JsonTraceSerializer, TraceExporterMetricsHelper),
    onLost,
  );
  const spans = new trace.TracerProvider({
    resource,
    sampler: new trace.ParentBasedSampler({ root: new trace.TraceIdRatioBasedSampler(config.sample) }),
    spanLimits: { attributeValueLengthLimit: 1_024 },
    spanProcessors: [queue],
  });
  const sums = delegate("/v1/metrics", "otlp_http_json_metric_exporter", JsonMetricsSerializer, MetricsExporterMetricsHelper);
  const meters = new metrics.MeterProvider({
    resource,
    readers: [
      new metrics.PeriodicExportingMetricReader({
        exporter: {
          export: (batch, done) =>
            sums.export(batch, (result) => {
              if (result.code !== core.ExportResultCode.SUCCESS) onLost("metrics", 1);
              done(result);
            }),
          forceFlush: () => sums.forceFlush(),
          shutdown: () => sums.shutdown(),
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
      await collector.close();
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
      import("@opentelemetry/otlp-exporter-base"),
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
