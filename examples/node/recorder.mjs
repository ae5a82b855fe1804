/*
 * Keeps what the exporters were handed, so that a test can look for it. A service needs none of this.
 *
 * Values are written as OTLP writes them in JSON ({"intValue": "42"}), which keeps an integer apart from a double
 * and bytes apart from text. Nanoseconds are decimal strings: JSON readers lose digits of large numbers.
 */
import { SpanKind, SpanStatusCode, ValueType } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';

const KINDS = {
  [DataPointType.SUM]: 'sum',
  [DataPointType.GAUGE]: 'gauge',
  [DataPointType.HISTOGRAM]: 'histogram',
  [DataPointType.EXPONENTIAL_HISTOGRAM]: 'exponential_histogram',
};

/** Seconds and nanoseconds as one number, in digits. */
const nanoseconds = ([seconds, rest]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(Math.trunc(rest)));

const name = (enumeration, value) => enumeration[value].toLowerCase();

/** One value in OTLP's JSON form; {} stands for no value. */
function anyValue(value) {
  if (value === null || value === undefined) return {};
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') {
    return Number.isInteger(value) ? { intValue: String(BigInt(value)) } : { doubleValue: value };
  }
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  if (typeof value === 'object') {
    const values = Object.entries(value).map(([key, item]) => ({ key, value: anyValue(item) }));
    return { kvlistValue: { values } };
  }
  throw new TypeError(`no OTLP value for ${typeof value}`);
}

function attributes(given) {
  return Object.fromEntries(Object.entries(given ?? {}).map(([key, value]) => [key, anyValue(value)]));
}

const scopeOf = (scope) => ({
  name: scope.name,
  version: scope.version ?? '',
  schema_url: scope.schemaUrl ?? '',
  attributes: attributes(scope.attributes),
});

const buckets = ({ offset, bucketCounts }) => ({ offset, counts: bucketCounts });

/** The numbers of one point. A gauge or sum is an integer if its instrument says so, not if it looks like one. */
function measured(metric, point) {
  const { value } = point;
  switch (metric.dataPointType) {
    case DataPointType.HISTOGRAM:
      return { ...summary(value), bounds: value.buckets.boundaries, bucket_counts: value.buckets.counts };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return {
        ...summary(value),
        scale: value.scale,
        zero_count: value.zeroCount,
        positive: buckets(value.positive),
        negative: buckets(value.negative),
      };
    default:
      return {
        value: metric.descriptor.valueType === ValueType.INT ? { intValue: String(value) } : { doubleValue: value },
      };
  }
}

const summary = ({ count, sum, min, max }) => ({ count, sum, min, max });

/** Wraps exporters. After shutdown `document()` is what they sent, `failures` what they could not. */
export class Recorder {
  failures = [];

  #sent;

  constructor(runId) {
    this.#sent = { language: 'node', run_id: runId, resource: {}, spans: [], points: [], logs: [] };
  }

  /** The exporter itself, made to hand each batch to `keep` as well and to notice a failure. */
  recording(exporter, keep) {
    const send = exporter.export.bind(exporter);
    exporter.export = (batch, done) => {
      keep(batch);
      send(batch, (result) => {
        if (result.code !== 0) {
          const why = result.error?.message ?? result.code;
          this.failures.push(`${exporter.constructor.name}: the export failed (${why}).`);
        }
        done(result);
      });
    };
    return exporter;
  }

  document() {
    return JSON.stringify(this.#sent);
  }

  #keepResource(resource) {
    this.#sent.resource = { attributes: attributes(resource.attributes), schema_url: resource.schemaUrl ?? '' };
  }

  spans = (batch) => {
    for (const span of batch) {
      this.#keepResource(span.resource);
      const { traceId, spanId, traceState } = span.spanContext();
      this.#sent.spans.push({
        trace_id: traceId,
        span_id: spanId,
        parent_span_id: span.parentSpanContext?.spanId ?? '',
        trace_state: traceState?.serialize() ?? '',
        name: span.name,
        kind: name(SpanKind, span.kind),
        start_ns: nanoseconds(span.startTime),
        end_ns: nanoseconds(span.endTime),
        attributes: attributes(span.attributes),
        status_code: name(SpanStatusCode, span.status.code),
        status_message: span.status.message ?? '',
        events: span.events.map((event) => ({
          name: event.name,
          time_ns: nanoseconds(event.time),
          attributes: attributes(event.attributes),
        })),
        links: span.links.map((link) => ({
          trace_id: link.context.traceId,
          span_id: link.context.spanId,
          trace_state: link.context.traceState?.serialize() ?? '',
          attributes: attributes(link.attributes),
        })),
        scope: scopeOf(span.instrumentationScope),
      });
    }
  };

  logs = (batch) => {
    for (const record of batch) {
      this.#keepResource(record.resource);
      this.#sent.logs.push({
        trace_id: record.spanContext?.traceId ?? '',
        span_id: record.spanContext?.spanId ?? '',
        trace_flags: record.spanContext?.traceFlags ?? 0,
        severity_number: record.severityNumber ?? 0,
        severity_text: record.severityText ?? '',
        event_name: record.eventName ?? '',
        body: anyValue(record.body),
        attributes: attributes(record.attributes),
        time_ns: nanoseconds(record.hrTime),
        observed_ns: nanoseconds(record.hrTimeObserved),
        scope: scopeOf(record.instrumentationScope),
      });
    }
  };

  points = (batch) => {
    this.#keepResource(batch.resource);
    for (const { scope, metrics } of batch.scopeMetrics) {
      for (const metric of metrics) {
        const kind = KINDS[metric.dataPointType];
        const head = {
          metric: metric.descriptor.name,
          description: metric.descriptor.description,
          unit: metric.descriptor.unit,
          scope: scopeOf(scope),
          kind,
        };
        if (kind !== 'gauge') head.temporality = name(AggregationTemporality, metric.aggregationTemporality);
        if (kind === 'sum') head.monotonic = metric.isMonotonic;
        for (const point of metric.dataPoints) {
          this.#sent.points.push({
            ...head,
            attributes: attributes(point.attributes),
            start_ns: nanoseconds(point.startTime),
            time_ns: nanoseconds(point.endTime),
            exemplars: [], // this SDK sends none
            ...measured(metric, point),
          });
        }
      }
    }
  };
}
