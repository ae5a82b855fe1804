package shop;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanId;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.common.InstrumentationScopeInfo;
import io.opentelemetry.sdk.logs.data.LogRecordData;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentType;
import io.opentelemetry.sdk.metrics.data.AggregationTemporality;
import io.opentelemetry.sdk.metrics.data.DoubleExemplarData;
import io.opentelemetry.sdk.metrics.data.DoublePointData;
import io.opentelemetry.sdk.metrics.data.ExemplarData;
import io.opentelemetry.sdk.metrics.data.ExponentialHistogramBuckets;
import io.opentelemetry.sdk.metrics.data.ExponentialHistogramPointData;
import io.opentelemetry.sdk.metrics.data.HistogramPointData;
import io.opentelemetry.sdk.metrics.data.LongExemplarData;
import io.opentelemetry.sdk.metrics.data.LongPointData;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.data.PointData;
import io.opentelemetry.sdk.metrics.data.SumData;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Keeps what the exporters were handed, so that a test can look for it. A service needs none of this.
 *
 * <p>Values are written as OTLP writes them in JSON ({"intValue": "42"}), which keeps an integer apart from a double
 * and bytes apart from text. Nanoseconds are decimal strings: JSON readers lose digits of large numbers.
 */
final class Recorder {
    private final String runId;
    private final List<Object> spans = new ArrayList<>();
    private final List<Object> points = new ArrayList<>();
    private final List<Object> logs = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();
    private Map<String, Object> resource = Map.of();

    Recorder(String runId) {
        this.runId = runId;
    }

    String runId() {
        return runId;
    }

    synchronized void fail(String what) {
        failures.add(what);
    }

    synchronized List<String> failures() {
        return List.copyOf(failures);
    }

    synchronized String document() {
        StringBuilder out = new StringBuilder();
        writeJson(out, object(
                "language", "java", "run_id", runId, "resource", resource,
                "spans", spans, "points", points, "logs", logs));
        return out.toString();
    }

    /** Hands a batch to the keeper, then to the exporter, and notices if that fails. */
    private <T> CompletableResultCode export(
            String what,
            Collection<T> batch,
            Consumer<T> keeper,
            Function<Collection<T>, CompletableResultCode> exporter) {
        synchronized (this) {
            batch.forEach(keeper);
        }
        CompletableResultCode result = exporter.apply(batch);
        return result.whenComplete(() -> {
            if (!result.isSuccess()) {
                fail("An export of " + what + " failed; the SDK's own warning says why.");
            }
        });
    }

    SpanExporter recording(SpanExporter exporter) {
        return new SpanExporter() {
            @Override
            public CompletableResultCode export(Collection<SpanData> batch) {
                return Recorder.this.export("spans", batch, Recorder.this::keep, exporter::export);
            }

            @Override
            public CompletableResultCode flush() {
                return exporter.flush();
            }

            @Override
            public CompletableResultCode shutdown() {
                return exporter.shutdown();
            }
        };
    }

    LogRecordExporter recording(LogRecordExporter exporter) {
        return new LogRecordExporter() {
            @Override
            public CompletableResultCode export(Collection<LogRecordData> batch) {
                return Recorder.this.export("logs", batch, Recorder.this::keep, exporter::export);
            }

            @Override
            public CompletableResultCode flush() {
                return exporter.flush();
            }

            @Override
            public CompletableResultCode shutdown() {
                return exporter.shutdown();
            }
        };
    }

    MetricExporter recording(MetricExporter exporter) {
        return new MetricExporter() {
            @Override
            public CompletableResultCode export(Collection<MetricData> batch) {
                return Recorder.this.export("metrics", batch, Recorder.this::keep, exporter::export);
            }

            @Override
            public CompletableResultCode flush() {
                return exporter.flush();
            }

            @Override
            public CompletableResultCode shutdown() {
                return exporter.shutdown();
            }

            @Override
            public AggregationTemporality getAggregationTemporality(InstrumentType type) {
                return exporter.getAggregationTemporality(type);
            }

            @Override
            public Aggregation getDefaultAggregation(InstrumentType type) {
                return exporter.getDefaultAggregation(type);
            }
        };
    }

    private void keep(Resource found) {
        resource = object("attributes", attributes(found.getAttributes()), "schema_url", text(found.getSchemaUrl()));
    }

    private void keep(SpanData span) {
        keep(span.getResource());
        spans.add(object(
                "trace_id", span.getTraceId(),
                "span_id", span.getSpanId(),
                "parent_span_id", SpanId.isValid(span.getParentSpanId()) ? span.getParentSpanId() : "",
                "trace_state", traceState(span.getSpanContext().getTraceState()),
                "name", span.getName(),
                "kind", lower(span.getKind()),
                "start_ns", Long.toString(span.getStartEpochNanos()),
                "end_ns", Long.toString(span.getEndEpochNanos()),
                "attributes", attributes(span.getAttributes()),
                "status_code", lower(span.getStatus().getStatusCode()),
                "status_message", span.getStatus().getDescription(),
                "events", each(span.getEvents(), event -> object(
                        "name", event.getName(),
                        "time_ns", Long.toString(event.getEpochNanos()),
                        "attributes", attributes(event.getAttributes()))),
                "links", each(span.getLinks(), link -> object(
                        "trace_id", link.getSpanContext().getTraceId(),
                        "span_id", link.getSpanContext().getSpanId(),
                        "trace_state", traceState(link.getSpanContext().getTraceState()),
                        "attributes", attributes(link.getAttributes()))),
                "scope", scope(span.getInstrumentationScopeInfo())));
    }

    private void keep(LogRecordData line) {
        keep(line.getResource());
        SpanContext span = line.getSpanContext();
        logs.add(object(
                "trace_id", span.isValid() ? span.getTraceId() : "",
                "span_id", span.isValid() ? span.getSpanId() : "",
                "trace_flags", (int) span.getTraceFlags().asByte(),
                "severity_number", line.getSeverity().getSeverityNumber(),
                "severity_text", text(line.getSeverityText()),
                "event_name", text(line.getEventName()),
                "body", line.getBodyValue() == null ? Map.of() : anyValue(line.getBodyValue()),
                "attributes", attributes(line.getAttributes()),
                "time_ns", Long.toString(line.getTimestampEpochNanos()),
                "observed_ns", Long.toString(line.getObservedTimestampEpochNanos()),
                "scope", scope(line.getInstrumentationScopeInfo())));
    }

    private void keep(MetricData metric) {
        keep(metric.getResource());
        Map<String, Object> head = object(
                "metric", metric.getName(),
                "description", metric.getDescription(),
                "unit", metric.getUnit(),
                "scope", scope(metric.getInstrumentationScopeInfo()));
        switch (metric.getType()) {
            case LONG_SUM -> addSum(head, metric.getLongSumData());
            case DOUBLE_SUM -> addSum(head, metric.getDoubleSumData());
            case HISTOGRAM -> head.putAll(object(
                    "kind", "histogram", "temporality", lower(metric.getHistogramData().getAggregationTemporality())));
            case EXPONENTIAL_HISTOGRAM -> head.putAll(object(
                    "kind", "exponential_histogram",
                    "temporality", lower(metric.getExponentialHistogramData().getAggregationTemporality())));
            default -> head.put("kind", "gauge");
        }
        for (PointData point : metric.getData().getPoints()) {
            Map<String, Object> found = new LinkedHashMap<>(head);
            found.put("attributes", attributes(point.getAttributes()));
            found.put("start_ns", Long.toString(point.getStartEpochNanos()));
            found.put("time_ns", Long.toString(point.getEpochNanos()));
            found.put("exemplars", each(point.getExemplars(), Recorder::exemplar));
            found.putAll(measured(point));
            points.add(found);
        }
    }

    private static void addSum(Map<String, Object> head, SumData<?> sum) {
        head.put("kind", "sum");
        head.put("temporality", lower(sum.getAggregationTemporality()));
        head.put("monotonic", sum.isMonotonic());
    }

    private static Map<String, Object> measured(PointData point) {
        if (point instanceof LongPointData number) {
            return object("value", anyValue(Value.of(number.getValue())));
        }
        if (point instanceof DoublePointData number) {
            return object("value", anyValue(Value.of(number.getValue())));
        }
        if (point instanceof HistogramPointData histogram) {
            return object(
                    "count", histogram.getCount(), "sum", histogram.getSum(),
                    "min", histogram.getMin(), "max", histogram.getMax(),
                    "bounds", histogram.getBoundaries(), "bucket_counts", histogram.getCounts());
        }
        if (point instanceof ExponentialHistogramPointData histogram) {
            return object(
                    "count", histogram.getCount(), "sum", histogram.getSum(),
                    "min", histogram.getMin(), "max", histogram.getMax(),
                    "scale", histogram.getScale(), "zero_count", histogram.getZeroCount(),
                    "positive", buckets(histogram.getPositiveBuckets()),
                    "negative", buckets(histogram.getNegativeBuckets()));
        }
        throw new IllegalArgumentException("no form for " + point.getClass());
    }

    private static Map<String, Object> buckets(ExponentialHistogramBuckets buckets) {
        List<Long> counts = buckets.getBucketCounts();
        return object("offset", counts.isEmpty() ? 0 : buckets.getOffset(), "counts", List.copyOf(counts));
    }

    private static Map<String, Object> exemplar(ExemplarData exemplar) {
        SpanContext span = exemplar.getSpanContext();
        Value<?> value = exemplar instanceof LongExemplarData whole
                ? Value.of(whole.getValue())
                : Value.of(((DoubleExemplarData) exemplar).getValue());
        return object(
                "trace_id", span.isValid() ? span.getTraceId() : "",
                "span_id", span.isValid() ? span.getSpanId() : "",
                "time_ns", Long.toString(exemplar.getEpochNanos()),
                "value", anyValue(value),
                "attributes", attributes(exemplar.getFilteredAttributes()));
    }

    private static Map<String, Object> scope(InstrumentationScopeInfo scope) {
        return object(
                "name", scope.getName(), "version", text(scope.getVersion()),
                "schema_url", text(scope.getSchemaUrl()), "attributes", attributes(scope.getAttributes()));
    }

    private static String traceState(TraceState state) {
        return state.asMap().entrySet().stream()
                .map(entry -> entry.getKey() + "=" + entry.getValue()).collect(Collectors.joining(","));
    }

    private static Map<String, Object> attributes(Attributes attributes) {
        Map<String, Object> found = new LinkedHashMap<>();
        attributes.forEach((key, value) -> found.put(key.getKey(), attribute(key, value)));
        return found;
    }

    private static Object attribute(AttributeKey<?> key, Object value) {
        return switch (key.getType()) {
            case STRING -> anyValue(Value.of((String) value));
            case BOOLEAN -> anyValue(Value.of((boolean) value));
            case LONG -> anyValue(Value.of((long) value));
            case DOUBLE -> anyValue(Value.of((double) value));
            case STRING_ARRAY -> array((List<?>) value, item -> Value.of((String) item));
            case BOOLEAN_ARRAY -> array((List<?>) value, item -> Value.of((boolean) item));
            case LONG_ARRAY -> array((List<?>) value, item -> Value.of((long) item));
            case DOUBLE_ARRAY -> array((List<?>) value, item -> Value.of((double) item));
            case VALUE -> anyValue((Value<?>) value);
        };
    }

    private static Object array(List<?> items, Function<Object, Value<?>> valueOf) {
        return object("arrayValue", object("values", each(items, item -> anyValue(valueOf.apply(item)))));
    }

    /** One value in OTLP's JSON form; {} stands for no value. */
    private static Object anyValue(Value<?> value) {
        return switch (value.getType()) {
            case STRING -> object("stringValue", value.getValue());
            case BOOLEAN -> object("boolValue", value.getValue());
            case LONG -> object("intValue", value.getValue().toString());
            case DOUBLE -> object("doubleValue", finite((double) value.getValue()));
            case BYTES -> object("bytesValue", base64((ByteBuffer) value.getValue()));
            case ARRAY -> object("arrayValue", object(
                    "values", each((List<?>) value.getValue(), item -> anyValue((Value<?>) item))));
            case KEY_VALUE_LIST -> object("kvlistValue", object(
                    "values", each((List<?>) value.getValue(), item -> pair((KeyValue) item))));
            case EMPTY -> Map.of();
        };
    }

    private static Object pair(KeyValue pair) {
        return object("key", pair.getKey(), "value", anyValue(pair.getValue()));
    }

    /** JSON has no number for these; Double.toString names them as OTLP does. */
    private static Object finite(double value) {
        return Double.isFinite(value) ? (Object) value : Double.toString(value);
    }

    private static String base64(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static String text(String given) {
        return given == null ? "" : given;
    }

    private static String lower(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }

    private static <T> List<Object> each(Collection<? extends T> items, Function<T, Object> form) {
        List<Object> out = new ArrayList<>();
        items.forEach(item -> out.add(form.apply(item)));
        return out;
    }

    /** A map from alternating names and values, in this order. */
    private static Map<String, Object> object(Object... parts) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int part = 0; part < parts.length; part += 2) {
            map.put((String) parts[part], parts[part + 1]);
        }
        return map;
    }

    private static void writeJson(StringBuilder out, Object value) {
        if (value instanceof Map<?, ?> map) {
            out.append('{');
            for (Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator(); entries.hasNext(); ) {
                Map.Entry<?, ?> entry = entries.next();
                writeText(out, (String) entry.getKey());
                out.append(':');
                writeJson(out, entry.getValue());
                out.append(entries.hasNext() ? "," : "");
            }
            out.append('}');
        } else if (value instanceof List<?> list) {
            out.append('[');
            for (Iterator<?> items = list.iterator(); items.hasNext(); ) {
                writeJson(out, items.next());
                out.append(items.hasNext() ? "," : "");
            }
            out.append(']');
        } else if (value instanceof String string) {
            writeText(out, string);
        } else {
            out.append(value); // a number or a boolean
        }
    }

    private static void writeText(StringBuilder out, String text) {
        out.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
