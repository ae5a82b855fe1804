package shop;

import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.logs.Logger;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.DoubleHistogram;
import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.metrics.LongHistogram;
import io.opentelemetry.api.metrics.LongUpDownCounter;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.spi.ConfigurationException;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.resources.Resource;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/**
 * A small shop on the OpenTelemetry SDK for Java, sending traces, metrics and logs to Lowtide.
 *
 * <p>Where to send comes from the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
 * OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES). To connect a service of your own,
 * take {@link #connect}: it is all the set-up there is. Recorder serves only the test of this example; without it,
 * leave out the three exporter customizers.
 *
 * <p>Run: java -jar target/shop.jar [RUN_ID]. Everything sent is printed on stdout as one JSON document. The exit
 * status is 1 if an export failed, 2 if the settings make no sense.
 */
final class Main {
    private static final String SCOPE = "shop";
    private static final String VERSION = "1.4.0";
    private static final String SCHEMA = "https://opentelemetry.io/schemas/1.37.0";
    private static final AttributeKey<String> ROUTE = AttributeKey.stringKey("http.route");

    /** One attribute of each kind that the SDK takes, with the values that are easily lost on the way. */
    private static final Attributes EVERY_KIND = Attributes.builder()
            .put("example.string", "one tea, no sugar")
            .put("example.string.empty", "")
            .put("example.string.unicode", "Grüße, 世界 🌊")
            .put("example.string.quoted", "a \"quoted\" back\\slash\nand a new line")
            .put("example.bool.true", true)
            .put("example.bool.false", false)
            .put("example.int", 42)
            .put("example.int.zero", 0)
            .put("example.int.max", Long.MAX_VALUE)
            .put("example.int.min", Long.MIN_VALUE)
            .put("example.double", 1.5)
            .put("example.double.whole", 3.0)
            .put("example.double.third", 1.0 / 3)
            .put("example.double.big", 1e21)
            .put("example.double.small", 1e-7)
            .put("example.double.nan", Double.NaN)
            .put("example.double.infinity", Double.NEGATIVE_INFINITY)
            .put("example.strings", "a/b", "", "ü \"x\"")
            .put("example.bools", true, false)
            .put("example.ints", 1, -2, Long.MAX_VALUE)
            .put("example.doubles", 1.5, 2.0, 1e21)
            .put(AttributeKey.stringArrayKey("example.array.empty"), List.of())
            .put(AttributeKey.valueKey("example.array.mixed"), Value.of(
                    Value.of("a"), Value.of(1), Value.of(2.5), Value.of(true), Value.empty()))
            .put(AttributeKey.valueKey("example.map"), Value.of(
                    KeyValue.of("k", Value.of(1)),
                    KeyValue.of("nested", Value.of(
                            KeyValue.of("list", Value.of(Value.of(1), Value.of("two"))))),
                    KeyValue.of("empty", Value.of(Map.of()))))
            .put(AttributeKey.valueKey("example.bytes"), Value.of(new byte[] {0, 1, (byte) 254, (byte) 255}))
            .build();

    private final Tracer tracer;
    private final Meter meter;
    private final Logger logger;
    private final OpenTelemetry telemetry;

    private Main(OpenTelemetry telemetry) {
        this.telemetry = telemetry;
        tracer = telemetry.tracerBuilder(SCOPE).setInstrumentationVersion(VERSION).setSchemaUrl(SCHEMA).build();
        meter = telemetry.meterBuilder(SCOPE).setInstrumentationVersion(VERSION).setSchemaUrl(SCHEMA).build();
        logger = telemetry.getLogsBridge().loggerBuilder(SCOPE)
                .setInstrumentationVersion(VERSION).setSchemaUrl(SCHEMA).build();
    }

    /** Sets up the three signals; all that OTEL_* variables can say is read by the SDK. */
    private static OpenTelemetrySdk connect(Recorder recorder, String runId) {
        Attributes own = Attributes.builder().put("example.run.id", runId).put("example.ints", 1, 2).build();
        return AutoConfiguredOpenTelemetrySdk.builder()
                // What holds if the environment says nothing.
                .addPropertiesSupplier(() -> Map.of("otel.exporter.otlp.protocol", "http/protobuf"))
                .addResourceCustomizer((resource, config) -> resource.merge(Resource.create(own)))
                .addMeterProviderCustomizer((builder, config) -> builder
                        .registerView(
                                InstrumentSelector.builder().setName("shop.payload.size").build(),
                                View.builder()
                                        .setAggregation(Aggregation.base2ExponentialBucketHistogram(20, 20)).build())
                        // Whose request it was would make a series for each person: it stays on exemplars only.
                        .registerView(
                                InstrumentSelector.builder().setName("shop.request.duration").build(),
                                View.builder().setAttributeFilter(Set.of("http.route")).build()))
                .addSpanExporterCustomizer((exporter, config) -> recorder.recording(exporter))
                .addMetricExporterCustomizer((exporter, config) -> recorder.recording(exporter))
                .addLogRecordExporterCustomizer((exporter, config) -> recorder.recording(exporter))
                .disableShutdownHook() // main shuts down itself, to see how it went
                .build()
                .getOpenTelemetrySdk();
    }

    /** A request from elsewhere, priced here with the help of another service, then handed to a queue. */
    private SpanContext answerCheckout() throws InterruptedException {
        Map<String, String> headers = Map.of(
                "traceparent", "00-" + UUID.randomUUID().toString().replace("-", "") + "-00f067aa0ba902b7-01",
                "tracestate", "gateway=edge-1,other=x:y");
        Context caller = telemetry.getPropagators().getTextMapPropagator()
                .extract(Context.root(), headers, new Headers());
        Span server = tracer.spanBuilder("POST /checkout").setParent(caller).setSpanKind(SpanKind.SERVER)
                .setAttribute("http.request.method", "POST").setAttribute(ROUTE, "/checkout").startSpan();
        try (Scope inServer = server.makeCurrent()) {
            Span internal = tracer.spanBuilder("price cart").setAllAttributes(EVERY_KIND).startSpan();
            try (Scope inPrice = internal.makeCurrent()) {
                internal.addEvent("discount applied", Attributes.builder()
                        .put("discount.code", "SPRING").put("discount.percent", 7.5).build());
                internal.addEvent("cart priced", EVERY_KIND);
                Span client = tracer.spanBuilder("GET /tax").setSpanKind(SpanKind.CLIENT)
                        .setAttribute("server.address", "tax-rate").setAttribute("server.port", 8080).startSpan();
                Thread.sleep(2);
                client.end();
            } finally {
                internal.end();
            }
            writeLogs();
            server.setAttribute("http.response.status_code", 200);
            server.setStatus(StatusCode.OK);
        } finally {
            server.end();
        }
        Span producer = tracer.spanBuilder("send orders").setNoParent().setSpanKind(SpanKind.PRODUCER)
                .setAttribute("messaging.system", "kafka").startSpan();
        producer.end();
        return producer.getSpanContext();
    }

    /** A consumer in a trace of its own that points back at what it works on, and fails. */
    private void takeOrder(SpanContext order) {
        Attributes message = Attributes.builder()
                .put("messaging.message.id", "order-1").put("example.ints", 1, 2).build();
        Span consumer = tracer.spanBuilder("process orders").setNoParent().setSpanKind(SpanKind.CONSUMER)
                .addLink(order, message).addLink(order).startSpan();
        Exception failure = new IllegalStateException("no stock for order-1 (Größe XL)");
        consumer.recordException(failure);
        consumer.setStatus(StatusCode.ERROR, failure.getMessage());
        consumer.end();
    }

    private record Line(Value<?> body, Severity severity, String text) {}

    /** Plain and structured lines. Inside a span they carry its ids. */
    private void writeLogs() {
        Value<?> order = Value.of(
                KeyValue.of("order", Value.of(7)),
                KeyValue.of("lines", Value.of(
                        Value.of(KeyValue.of("sku", Value.of("T-1")), KeyValue.of("price", Value.of(2.5))),
                        Value.of(KeyValue.of("sku", Value.of("é/2"))))),
                KeyValue.of("empty", Value.of(Map.of())));
        Value<?> list = Value.of(
                Value.of("a"), Value.of(1), Value.of(2.5), Value.of(false), Value.empty());
        List<Line> lines = List.of(
                new Line(Value.of("cart priced"), Severity.INFO, "INFO"),
                new Line(Value.of(""), Severity.DEBUG, "DEBUG"),
                new Line(order, Severity.WARN, "WARN"),
                new Line(list, Severity.ERROR, "ERROR"),
                new Line(Value.of(new byte[] {0, (byte) 255, 'r', 'a', 'w'}), Severity.FATAL, "FATAL"),
                new Line(Value.of((1L << 53) + 1), Severity.TRACE, "TRACE"),
                new Line(Value.of(0.25), Severity.INFO2, "NOTICE"),
                new Line(Value.of(true), Severity.UNDEFINED_SEVERITY_NUMBER, ""));
        for (int number = 0; number < lines.size(); number++) {
            Line line = lines.get(number);
            logger.logRecordBuilder()
                    .setTimestamp(Instant.now())
                    .setBody(line.body())
                    .setSeverity(line.severity())
                    .setSeverityText(line.text())
                    .setAttribute("example.line", number)
                    .emit();
        }
        // An event without a time of its own: the store then takes the time at which it was observed.
        logger.logRecordBuilder().setEventName("shop.cart.priced").setAllAttributes(EVERY_KIND).emit();
    }

    /** Every instrument, whole numbers and fractions. */
    private void measure() {
        Attributes checkout = Attributes.of(ROUTE, "/checkout");
        LongCounter requests = meter.counterBuilder("shop.requests")
                .setUnit("{request}").setDescription("Requests answered").build();
        requests.add(3, checkout.toBuilder().put("example.bool", true).build());
        requests.add(1, Attributes.builder()
                .put(ROUTE, "").put("example.int", 7).put("example.strings", "a/b", "c").build());
        meter.counterBuilder("shop.revenue").ofDoubles().setUnit("EUR").build()
                .add(12.75, Attributes.builder().put("currency", "EUR").build());
        LongUpDownCounter carts = meter.upDownCounterBuilder("shop.carts.open").setUnit("{cart}").build();
        carts.add(5);
        carts.add(-7);
        meter.gaugeBuilder("shop.price.factor").build()
                .set(1.25, Attributes.builder().put("season", "spring").build());

        DoubleHistogram duration = meter.histogramBuilder("shop.request.duration").setUnit("s")
                .setExplicitBucketBoundariesAdvice(List.of(0.01, 0.1, 0.5, 1.0)).build();
        LongHistogram payload = meter.histogramBuilder("shop.payload.size").ofLongs().setUnit("By").build();
        // Measured inside a span, a point gets an exemplar that names it.
        Span span = tracer.spanBuilder("measure").startSpan();
        try (Scope inSpan = span.makeCurrent()) {
            Attributes whose = checkout.toBuilder().put("enduser.id", "u-17").build();
            for (double seconds : new double[] {0.005, 0.05, 0.05, 0.7, 4}) {
                duration.record(seconds, whose);
            }
            for (long size : new long[] {0, 1, 3, 250, 1_000_000}) {
                payload.record(size, checkout);
            }
        } finally {
            span.end();
        }

        meter.counterBuilder("shop.cache.hits").setUnit("{hit}").buildWithCallback(result -> {
            result.record(40, Attributes.builder().put("cache", "price").build());
            result.record(2, Attributes.builder().put("cache", "tax").build());
        });
        meter.upDownCounterBuilder("shop.queue.depth").setUnit("{message}").buildWithCallback(
                result -> result.record(-3, Attributes.builder().put("queue", "orders").build()));
        meter.gaugeBuilder("shop.room.temperature").setUnit("Cel").buildWithCallback(result -> {
            result.record(21.5, Attributes.builder().put("room", "Küche").build());
            result.record(-4, Attributes.builder().put("room", "cellar").build());
        });
    }

    /** Looks up a header for the propagator. */
    private static final class Headers implements TextMapGetter<Map<String, String>> {
        @Override
        public Iterable<String> keys(Map<String, String> headers) {
            return headers.keySet();
        }

        @Override
        public String get(Map<String, String> headers, String key) {
            return headers == null ? null : headers.get(key);
        }
    }

    private static String runId(String[] arguments) {
        if (arguments.length > 0) {
            return arguments[0];
        }
        String given = System.getenv("EXAMPLE_RUN_ID");
        return given == null || given.isEmpty() ? UUID.randomUUID().toString() : given;
    }

    public static void main(String[] arguments) throws InterruptedException {
        Recorder recorder = new Recorder(runId(arguments));
        OpenTelemetrySdk sdk;
        try {
            sdk = connect(recorder, recorder.runId());
        } catch (ConfigurationException | IllegalArgumentException failure) {
            System.err.println(failure.getMessage());
            System.exit(2);
            return;
        }
        Main shop = new Main(sdk);
        shop.takeOrder(shop.answerCheckout());
        shop.logger.logRecordBuilder().setTimestamp(Instant.now()).setBody("outside any span").emit();
        shop.measure();
        // Sends what is still held. A service that ends without this loses its last seconds.
        if (!sdk.shutdown().join(30, TimeUnit.SECONDS).isSuccess()) {
            recorder.fail("The shutdown did not end well within 30 s.");
        }
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println(recorder.document());
        recorder.failures().forEach(System.err::println);
        System.exit(recorder.failures().isEmpty() ? 0 : 1);
    }
}
