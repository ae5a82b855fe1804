// Command shop is a small shop on the OpenTelemetry SDK for Go, sending traces, metrics and logs to Lowtide.
//
// Where to send comes from the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
// OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES). To connect a service of your own,
// take exporters and connect: they are all the set-up there is. recorder.go serves only the test of this example;
// without it, pass the exporters on as they are instead of inside a recording type.
//
// Run: go run . [RUN_ID]. Everything sent is printed on stdout as one JSON document. The exit status is 1 if an
// export failed, 2 if the settings make no sense.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	scope   = "shop"
	version = "1.4.0"
	schema  = "https://opentelemetry.io/schemas/1.37.0"
)

// everyKind has one attribute of each kind that the SDK takes, with the values that are easily lost on the way.
var everyKind = []attribute.KeyValue{
	attribute.String("example.string", "one tea, no sugar"),
	attribute.String("example.string.empty", ""),
	attribute.String("example.string.unicode", "Grüße, 世界 🌊"),
	attribute.String("example.string.quoted", "a \"quoted\" back\\slash\nand a new line"),
	attribute.Bool("example.bool.true", true),
	attribute.Bool("example.bool.false", false),
	attribute.Int("example.int", 42),
	attribute.Int("example.int.zero", 0),
	attribute.Int64("example.int.max", math.MaxInt64),
	attribute.Int64("example.int.min", math.MinInt64),
	attribute.Float64("example.double", 1.5),
	attribute.Float64("example.double.whole", 3),
	attribute.Float64("example.double.third", 1.0/3),
	attribute.Float64("example.double.big", 1e21),
	attribute.Float64("example.double.small", 1e-7),
	attribute.Float64("example.double.nan", math.NaN()),
	attribute.Float64("example.double.infinity", math.Inf(-1)),
	attribute.StringSlice("example.strings", []string{"a/b", "", "ü \"x\""}),
	attribute.BoolSlice("example.bools", []bool{true, false}),
	attribute.Int64Slice("example.ints", []int64{1, -2, math.MaxInt64}),
	attribute.Float64Slice("example.doubles", []float64{1.5, 2, 1e21}),
	attribute.StringSlice("example.array.empty", nil),
	attribute.Slice("example.array.mixed", attribute.StringValue("a"), attribute.IntValue(1),
		attribute.Float64Value(2.5), attribute.BoolValue(true), attribute.Value{}),
	attribute.Map("example.map", attribute.Int("k", 1), attribute.Map("empty"),
		attribute.Map("nested", attribute.Slice("list", attribute.IntValue(1), attribute.StringValue("two")))),
	attribute.ByteSlice("example.bytes", []byte{0, 1, 254, 255}),
}

// exporters gives those of traces, metrics and logs for the protocol that the environment names. Endpoint, headers,
// compression and time limit they read themselves.
func exporters(ctx context.Context) (sdktrace.SpanExporter, sdkmetric.Exporter, sdklog.Exporter, error) {
	var (
		spans  sdktrace.SpanExporter
		points sdkmetric.Exporter
		logs   sdklog.Exporter
		errs   [3]error
	)
	switch protocol := os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "grpc":
		spans, errs[0] = otlptracegrpc.New(ctx)
		points, errs[1] = otlpmetricgrpc.New(ctx)
		logs, errs[2] = otlploggrpc.New(ctx)
	case "http/protobuf", "":
		spans, errs[0] = otlptracehttp.New(ctx)
		points, errs[1] = otlpmetrichttp.New(ctx)
		logs, errs[2] = otlploghttp.New(ctx)
	default:
		errs[0] = fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; use grpc or http/protobuf", protocol)
	}
	return spans, points, logs, errors.Join(errs[:]...)
}

type telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	logger   log.Logger
	slog     *slog.Logger
	shutdown func(context.Context) error
}

// connect sets up the three signals.
func connect(ctx context.Context, rec *recorder, runID string) (*telemetry, error) {
	spanExporter, pointExporter, logExporter, err := exporters(ctx)
	if err != nil {
		return nil, err
	}
	// Default reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
	res, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("example.run.id", runID), attribute.IntSlice("example.ints", []int{1, 2})))
	if err != nil {
		return nil, err
	}

	traces := sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithBatcher(recordingSpans{spanExporter, rec}),
	)
	measures := sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(res),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(recordingPoints{pointExporter, rec})),
		sdkmetric.WithView(
			sdkmetric.NewView(
				sdkmetric.Instrument{Name: "shop.payload.size"},
				sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 20, MaxScale: 20}},
			),
			// Whose request it was would make a series for each person: it stays on exemplars only.
			sdkmetric.NewView(
				sdkmetric.Instrument{Name: "shop.request.duration"},
				sdkmetric.Stream{AttributeFilter: attribute.NewAllowKeysFilter("http.route")},
			),
		),
	)
	logs := sdklog.NewLoggerProvider(
		sdklog.WithResource(res),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(recordingLogs{logExporter, rec})),
	)
	otel.SetTracerProvider(traces)
	otel.SetMeterProvider(measures)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetErrorHandler(otel.ErrorHandlerFunc(rec.fail)) // also hears of what a receiver took only in part

	return &telemetry{
		tracer: traces.Tracer(scope, trace.WithInstrumentationVersion(version), trace.WithSchemaURL(schema),
			trace.WithInstrumentationAttributes(attribute.String("example.scope", "traces"))),
		meter: measures.Meter(scope, metric.WithInstrumentationVersion(version), metric.WithSchemaURL(schema),
			metric.WithInstrumentationAttributes(attribute.String("example.scope", "metrics"))),
		logger: logs.Logger(scope, log.WithInstrumentationVersion(version), log.WithSchemaURL(schema),
			log.WithInstrumentationAttributes(attribute.String("example.scope", "logs"))),
		slog: otelslog.NewLogger("shop.slog", otelslog.WithLoggerProvider(logs)),
		// Each sends what it still holds. A service that ends without this loses its last seconds.
		shutdown: func(ctx context.Context) error {
			return errors.Join(traces.Shutdown(ctx), measures.Shutdown(ctx), logs.Shutdown(ctx))
		},
	}, nil
}

// answerCheckout is a request from elsewhere, priced here with the help of another service, then handed to a queue.
func answerCheckout(ctx context.Context, t *telemetry) trace.Link {
	caller := otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier{
		"traceparent": "00-" + randomHex(16) + "-00f067aa0ba902b7-01",
		"tracestate":  "gateway=edge-1,other=x:y",
	})
	inServer, server := t.tracer.Start(caller, "POST /checkout", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("http.request.method", "POST"), attribute.String("http.route", "/checkout")))
	inPrice, internal := t.tracer.Start(inServer, "price cart", trace.WithAttributes(everyKind...))
	internal.AddEvent("discount applied", trace.WithAttributes(
		attribute.String("discount.code", "SPRING"), attribute.Float64("discount.percent", 7.5)))
	internal.AddEvent("cart priced", trace.WithAttributes(everyKind...))
	_, client := t.tracer.Start(inPrice, "GET /tax", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("server.address", "tax-rate"), attribute.Int("server.port", 8080)))
	time.Sleep(2 * time.Millisecond)
	client.End()
	internal.End()
	writeLogs(inServer, t)
	server.SetAttributes(attribute.Int("http.response.status_code", 200))
	server.SetStatus(codes.Ok, "")
	server.End()

	_, producer := t.tracer.Start(ctx, "send orders", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String("messaging.system", "kafka")))
	producer.End()
	return trace.Link{SpanContext: producer.SpanContext(), Attributes: []attribute.KeyValue{
		attribute.String("messaging.message.id", "order-1"), attribute.IntSlice("example.ints", []int{1, 2})}}
}

// takeOrder is a consumer in a trace of its own that points back at what it works on, and fails.
func takeOrder(ctx context.Context, t *telemetry, order trace.Link) {
	_, consumer := t.tracer.Start(ctx, "process orders", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(order, trace.Link{SpanContext: order.SpanContext}))
	err := errors.New("no stock for order-1 (Größe XL)")
	consumer.RecordError(err, trace.WithStackTrace(true))
	consumer.SetStatus(codes.Error, err.Error())
	consumer.End()
}

// writeLogs writes plain and structured lines. With the context of a span they carry its ids.
func writeLogs(ctx context.Context, t *telemetry) {
	order := attribute.MapValue(
		attribute.Int("order", 7),
		attribute.Slice("lines",
			attribute.MapValue(attribute.String("sku", "T-1"), attribute.Float64("price", 2.5)),
			attribute.MapValue(attribute.String("sku", "é/2"))),
		attribute.Map("empty"))
	list := attribute.SliceValue(attribute.StringValue("a"), attribute.IntValue(1),
		attribute.Float64Value(2.5), attribute.BoolValue(false), attribute.Value{})
	lines := []struct {
		body     attribute.Value
		severity log.Severity
		text     string
	}{
		{attribute.StringValue("cart priced"), log.SeverityInfo, "INFO"},
		{attribute.StringValue(""), log.SeverityDebug, "DEBUG"},
		{order, log.SeverityWarn, "WARN"},
		{list, log.SeverityError, "ERROR"},
		{attribute.ByteSliceValue([]byte("\x00\xffraw")), log.SeverityFatal, "FATAL"},
		{attribute.Int64Value(1<<53 + 1), log.SeverityTrace, "TRACE"},
		{attribute.Float64Value(0.25), log.SeverityInfo2, "NOTICE"},
		{attribute.BoolValue(true), log.SeverityUndefined, ""},
	}
	for number, line := range lines {
		var record log.Record
		record.SetTimestamp(time.Now())
		record.SetSeverity(line.severity)
		record.SetSeverityText(line.text)
		record.SetBody(line.body)
		record.AddAttributes(attribute.Int("example.line", number))
		t.logger.Emit(ctx, record)
	}
	// An event without a time of its own: the store then takes the time at which it was observed.
	var event log.Record
	event.SetEventName("shop.cart.priced")
	event.AddAttributes(everyKind...)
	t.logger.Emit(ctx, event)
	// What a service logs through log/slog arrives the same way.
	t.slog.InfoContext(ctx, "stock checked", "sku", "T-1", "left", 3, slog.Group("shelf", "row", 2, "cold", false))
}

// measure uses every instrument, with whole numbers and fractions.
func measure(ctx context.Context, t *telemetry) error {
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	checkout := metric.WithAttributes(attribute.String("http.route", "/checkout"))

	requests, err := t.meter.Int64Counter("shop.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests answered"))
	keep(err)
	requests.Add(ctx, 3, checkout, metric.WithAttributes(attribute.Bool("example.bool", true)))
	requests.Add(ctx, 1, metric.WithAttributes(attribute.String("http.route", ""), attribute.Int("example.int", 7),
		attribute.StringSlice("example.strings", []string{"a/b", "c"})))
	revenue, err := t.meter.Float64Counter("shop.revenue", metric.WithUnit("EUR"))
	keep(err)
	revenue.Add(ctx, 12.75, metric.WithAttributes(attribute.String("currency", "EUR")))
	carts, err := t.meter.Int64UpDownCounter("shop.carts.open", metric.WithUnit("{cart}"))
	keep(err)
	carts.Add(ctx, 5)
	carts.Add(ctx, -7)
	factor, err := t.meter.Float64Gauge("shop.price.factor")
	keep(err)
	factor.Record(ctx, 1.25, metric.WithAttributes(attribute.String("season", "spring")))

	duration, err := t.meter.Float64Histogram("shop.request.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.01, 0.1, 0.5, 1))
	keep(err)
	payload, err := t.meter.Int64Histogram("shop.payload.size", metric.WithUnit("By"))
	keep(err)
	// Measured inside a span, a point gets an exemplar that names it.
	inSpan, span := t.tracer.Start(ctx, "measure")
	for _, seconds := range []float64{0.005, 0.05, 0.05, 0.7, 4} {
		duration.Record(inSpan, seconds, checkout, metric.WithAttributes(attribute.String("enduser.id", "u-17")))
	}
	for _, size := range []int64{0, 1, 3, 250, 1_000_000} {
		payload.Record(inSpan, size, checkout)
	}
	span.End()

	_, err = t.meter.Int64ObservableCounter("shop.cache.hits", metric.WithUnit("{hit}"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(40, metric.WithAttributes(attribute.String("cache", "price")))
			o.Observe(2, metric.WithAttributes(attribute.String("cache", "tax")))
			return nil
		}))
	keep(err)
	_, err = t.meter.Int64ObservableUpDownCounter("shop.queue.depth", metric.WithUnit("{message}"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(-3, metric.WithAttributes(attribute.String("queue", "orders")))
			return nil
		}))
	keep(err)
	_, err = t.meter.Float64ObservableGauge("shop.room.temperature", metric.WithUnit("Cel"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(21.5, metric.WithAttributes(attribute.String("room", "Küche")))
			o.Observe(-4, metric.WithAttributes(attribute.String("room", "cellar")))
			return nil
		}))
	keep(err)
	return errors.Join(errs...)
}

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

func runID() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	if id := os.Getenv("EXAMPLE_RUN_ID"); id != "" {
		return id
	}
	return randomHex(16)
}

func main() {
	ctx := context.Background()
	rec := newRecorder(runID())
	t, err := connect(ctx, rec, rec.sent.RunID)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	takeOrder(ctx, t, answerCheckout(ctx, t))
	var last log.Record
	last.SetTimestamp(time.Now())
	last.SetBody(attribute.StringValue("outside any span"))
	t.logger.Emit(ctx, last)
	rec.fail(measure(ctx, t))
	rec.fail(t.shutdown(ctx))
	rec.fail(rec.print(os.Stdout))
	for _, failure := range rec.failures {
		fmt.Fprintln(os.Stderr, failure)
	}
	if len(rec.failures) > 0 {
		os.Exit(1)
	}
}
