/*
 * A small shop on the OpenTelemetry SDK for Node.js, sending traces, metrics and logs to Lowtide.
 *
 * Where to send comes from the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
 * OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES). To connect a service of your
 * own, take `exporters()` and `connect()`: it is all the set-up there is. recorder.mjs serves only the test of
 * this example; without it, pass the exporters on as they are instead of through `recorder.recording(...)`.
 *
 * Run: node main.mjs [RUN_ID]. Everything sent is printed on stdout as one JSON document. The exit status is
 * 1 if an export failed, 2 if the settings make no sense.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ROOT_CONTEXT, SpanKind, SpanStatusCode, ValueType, metrics, propagation, trace,
} from '@opentelemetry/api';
import { SeverityNumber, logs } from '@opentelemetry/api-logs';
import {
  defaultResource, detectResources, envDetector, resourceFromAttributes, serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

import { Recorder } from './recorder.mjs';

const SCOPE = 'shop';
const VERSION = '1.4.0';
const SCHEMA = { schemaUrl: 'https://opentelemetry.io/schemas/1.37.0' };

// One attribute of each kind that the SDK takes, with the values that are easily lost on the way. This SDK sends
// every whole number as an integer, and JSON has no NaN: what is not a number or too large is better not sent.
const EVERY_KIND = {
  'example.string': 'one tea, no sugar',
  'example.string.empty': '',
  'example.string.unicode': 'Grüße, 世界 🌊',
  'example.string.quoted': 'a "quoted" back\\slash\nand a new line',
  'example.bool.true': true,
  'example.bool.false': false,
  'example.int': 42,
  'example.int.zero': 0,
  'example.int.max': Number.MAX_SAFE_INTEGER,
  'example.int.min': Number.MIN_SAFE_INTEGER,
  'example.double': 1.5,
  'example.double.third': 1 / 3,
  'example.double.small': 1e-7,
  'example.strings': ['a/b', '', 'ü "x"'],
  'example.bools': [true, false],
  'example.ints': [1, -2, Number.MAX_SAFE_INTEGER],
  'example.doubles': [1.5, -2.25, 1e-9],
  'example.array.empty': [],
  'example.array.gap': ['a', null, 'b'],
};

/** The exporters of traces, metrics and logs for the protocol that the environment names. */
async function exporters() {
  switch (process.env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf') {
    case 'grpc':
      return {
        ...await import('@opentelemetry/exporter-trace-otlp-grpc'),
        ...await import('@opentelemetry/exporter-metrics-otlp-grpc'),
        ...await import('@opentelemetry/exporter-logs-otlp-grpc'),
      };
    case 'http/protobuf':
      return {
        ...await import('@opentelemetry/exporter-trace-otlp-proto'),
        ...await import('@opentelemetry/exporter-metrics-otlp-proto'),
        ...await import('@opentelemetry/exporter-logs-otlp-proto'),
      };
    case 'http/json':
      return {
        ...await import('@opentelemetry/exporter-trace-otlp-http'),
        ...await import('@opentelemetry/exporter-metrics-otlp-http'),
        ...await import('@opentelemetry/exporter-logs-otlp-http'),
      };
    default:
      console.error('OTEL_EXPORTER_OTLP_PROTOCOL must be grpc, http/protobuf or http/json.');
      return process.exit(2);
  }
}

/** Sets up the three signals. Endpoint, headers, compression and time limit are read by the exporters. */
async function connect(recorder, runId) {
  const { OTLPTraceExporter, OTLPMetricExporter, OTLPLogExporter } = await exporters();
  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'example.run.id': runId, 'example.ints': [1, 2] }, SCHEMA))
    // Reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; last, because the last one wins.
    .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] }));

  const tracerProvider = new NodeTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(recorder.recording(new OTLPTraceExporter(), recorder.spans))],
  });
  tracerProvider.register(); // also sets the context manager and the W3C propagator
  const meterProvider = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: recorder.recording(new OTLPMetricExporter(), recorder.points),
      }),
    ],
    views: [
      {
        instrumentName: 'shop.payload.size',
        aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 20 } },
      },
    ],
  });
  metrics.setGlobalMeterProvider(meterProvider);
  const loggerProvider = new LoggerProvider({
    resource,
    processors: [
      new BatchLogRecordProcessor({ exporter: recorder.recording(new OTLPLogExporter(), recorder.logs) }),
    ],
  });
  logs.setGlobalLoggerProvider(loggerProvider);

  return {
    tracer: tracerProvider.getTracer(SCOPE, VERSION, SCHEMA),
    meter: meterProvider.getMeter(SCOPE, VERSION, SCHEMA),
    logger: loggerProvider.getLogger(SCOPE, VERSION, SCHEMA),
    // Each sends what it still holds. A service that ends without this loses its last seconds. What goes wrong
    // rejects, so one that fails must not keep the next from its turn. Returns the reasons.
    async shutdown() {
      const providers = [tracerProvider, meterProvider, loggerProvider];
      const ends = await Promise.allSettled(providers.map((provider) => provider.shutdown()));
      return ends.filter((end) => end.status === 'rejected').map((end) => `shutdown: ${end.reason}`);
    },
  };
}

/** A request from elsewhere, priced here with the help of another service, then handed to a queue. */
async function answerCheckout(tracer, logger) {
  const caller = propagation.extract(ROOT_CONTEXT, {
    traceparent: `00-${randomBytes(16).toString('hex')}-00f067aa0ba902b7-01`,
    tracestate: 'gateway=edge-1,other=x:y',
  });
  const request = {
    kind: SpanKind.SERVER,
    attributes: { 'http.request.method': 'POST', 'http.route': '/checkout' },
  };
  await tracer.startActiveSpan('POST /checkout', request, caller, async (server) => {
    await tracer.startActiveSpan('price cart', { attributes: EVERY_KIND }, async (internal) => {
      internal.addEvent('discount applied', { 'discount.code': 'SPRING', 'discount.percent': 7.5 });
      internal.addEvent('cart priced', EVERY_KIND);
      const call = { 'server.address': 'tax-rate', 'server.port': 8080 };
      await tracer.startActiveSpan('GET /tax', { kind: SpanKind.CLIENT, attributes: call }, async (client) => {
        await sleep(2);
        client.end();
      });
      internal.end();
    });
    writeLogs(logger);
    server.setAttribute('http.response.status_code', 200);
    server.setStatus({ code: SpanStatusCode.OK });
    server.end();
  });
  const producer = tracer.startSpan(
    'send orders',
    { kind: SpanKind.PRODUCER, attributes: { 'messaging.system': 'kafka' } },
    ROOT_CONTEXT,
  );
  producer.end();
  return {
    context: producer.spanContext(),
    attributes: { 'messaging.message.id': 'order-1', 'example.ints': [1, 2] },
  };
}

/** A consumer in a trace of its own that points back at what it works on, and fails. */
function takeOrder(tracer, order) {
  const links = [order, { context: order.context }];
  const consumer = tracer.startSpan('process orders', { kind: SpanKind.CONSUMER, links }, ROOT_CONTEXT);
  const error = new RangeError('no stock for order-1 (Größe XL)');
  consumer.recordException(error);
  consumer.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  consumer.end();
}

/** Plain and structured lines. Inside a span they carry its ids. */
function writeLogs(logger) {
  const order = { order: 7, lines: [{ sku: 'T-1', price: 2.5 }, { sku: 'é/2' }], empty: {} };
  const lines = [
    ['cart priced', SeverityNumber.INFO, 'INFO'],
    ['', SeverityNumber.DEBUG, 'DEBUG'],
    [order, SeverityNumber.WARN, 'WARN'],
    [['a', 1, 2.5, false, null], SeverityNumber.ERROR, 'ERROR'],
    [new Uint8Array([0, 255, 114, 97, 119]), SeverityNumber.FATAL, 'FATAL'],
    [Number.MAX_SAFE_INTEGER, SeverityNumber.TRACE, 'TRACE'],
    [0.25, SeverityNumber.INFO2, 'NOTICE'],
    [true, undefined, undefined],
  ];
  for (const [number, [body, severityNumber, severityText]] of lines.entries()) {
    logger.emit({ body, severityNumber, severityText, attributes: { 'example.line': number } });
  }
  // Attributes of a log line may be structured, where those of a span may not.
  logger.emit({
    eventName: 'shop.cart.priced',
    attributes: {
      ...EVERY_KIND,
      'example.map': { k: 1, nested: { list: [1, 'two'] }, empty: {} },
      'example.array.mixed': ['a', 1, 2.5, true, null],
      'example.bytes': new Uint8Array([0, 1, 254, 255]),
    },
  });
}

/** Every instrument, whole numbers and fractions. */
function measure(meter, tracer) {
  const whole = { valueType: ValueType.INT };
  const requests = meter.createCounter('shop.requests', {
    ...whole, unit: '{request}', description: 'Requests answered',
  });
  requests.add(3, { 'http.route': '/checkout', 'example.bool': true });
  requests.add(1, { 'http.route': '', 'example.int': 7, 'example.strings': ['a/b', 'c'] });
  meter.createCounter('shop.revenue', { unit: 'EUR' }).add(12.75, { currency: 'EUR' });
  const carts = meter.createUpDownCounter('shop.carts.open', { ...whole, unit: '{cart}' });
  carts.add(5);
  carts.add(-7);
  meter.createGauge('shop.price.factor').record(1.25, { season: 'spring' });

  const duration = meter.createHistogram('shop.request.duration', {
    unit: 's', advice: { explicitBucketBoundaries: [0.01, 0.1, 0.5, 1] },
  });
  const payload = meter.createHistogram('shop.payload.size', { ...whole, unit: 'By' });
  tracer.startActiveSpan('measure', (span) => {
    for (const seconds of [0.005, 0.05, 0.05, 0.7, 4]) duration.record(seconds, { 'http.route': '/checkout' });
    for (const size of [0, 1, 3, 250, 1_000_000]) payload.record(size, { 'http.route': '/checkout' });
    span.end();
  });

  meter.createObservableCounter('shop.cache.hits', { ...whole, unit: '{hit}' }).addCallback((result) => {
    result.observe(40, { cache: 'price' });
    result.observe(2, { cache: 'tax' });
  });
  meter.createObservableUpDownCounter('shop.queue.depth', { ...whole, unit: '{message}' })
    .addCallback((result) => result.observe(-3, { queue: 'orders' }));
  meter.createObservableGauge('shop.room.temperature', { unit: 'Cel' }).addCallback((result) => {
    result.observe(21.5, { room: 'Küche' });
    result.observe(-4, { room: 'cellar' });
  });
}

const runId = process.argv[2] ?? process.env.EXAMPLE_RUN_ID ?? randomUUID();
const recorder = new Recorder(runId);
const { tracer, meter, logger, shutdown } = await connect(recorder, runId);
takeOrder(tracer, await answerCheckout(tracer, logger));
logger.emit({ body: 'outside any span' });
measure(meter, tracer);
const failures = [...await shutdown(), ...recorder.failures];
console.log(recorder.document());
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
