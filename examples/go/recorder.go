package main

// recorder keeps what the exporters were handed, so that a test can look for it. A service needs none of this.
//
// Values are written as OTLP writes them in JSON ({"intValue": "42"}), which keeps an integer apart from a double
// and bytes apart from text. Nanoseconds are decimal strings: JSON readers lose digits of large numbers.

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type object map[string]any

type document struct {
	Language string   `json:"language"`
	RunID    string   `json:"run_id"`
	Resource object   `json:"resource"`
	Spans    []object `json:"spans"`
	Points   []object `json:"points"`
	Logs     []object `json:"logs"`
}

// recorder is filled from the exporters' goroutines. After shutdown, sent is what they sent and failures is what
// they could not.
type recorder struct {
	mutex    sync.Mutex
	sent     document
	failures []string
}

func newRecorder(runID string) *recorder {
	return &recorder{sent: document{
		Language: "go", RunID: runID, Resource: object{},
		Spans: []object{}, Points: []object{}, Logs: []object{},
	}}
}

// fail notes an error, once: the SDK tells of the same one at the export and again at shutdown.
func (r *recorder) fail(err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err != nil && !slices.Contains(r.failures, err.Error()) {
		r.failures = append(r.failures, err.Error())
	}
}

func (r *recorder) print(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r.sent)
}

type recordingSpans struct {
	sdktrace.SpanExporter
	recorder *recorder
}

func (e recordingSpans) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	e.recorder.keepSpans(batch)
	err := e.SpanExporter.ExportSpans(ctx, batch)
	e.recorder.fail(err)
	return err
}

type recordingPoints struct {
	sdkmetric.Exporter
	recorder *recorder
}

func (e recordingPoints) Export(ctx context.Context, batch *metricdata.ResourceMetrics) error {
	e.recorder.keepPoints(batch)
	err := e.Exporter.Export(ctx, batch)
	e.recorder.fail(err)
	return err
}

type recordingLogs struct {
	sdklog.Exporter
	recorder *recorder
}

func (e recordingLogs) Export(ctx context.Context, batch []sdklog.Record) error {
	e.recorder.keepLogs(batch)
	err := e.Exporter.Export(ctx, batch)
	e.recorder.fail(err)
	return err
}

func (r *recorder) keepResource(res *resource.Resource) {
	r.sent.Resource = object{"attributes": attributes(res.Attributes()), "schema_url": res.SchemaURL()}
}

func (r *recorder) keepSpans(batch []sdktrace.ReadOnlySpan) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, span := range batch {
		r.keepResource(span.Resource())
		events, links := []object{}, []object{}
		for _, event := range span.Events() {
			events = append(events, object{
				"name": event.Name, "time_ns": nanoseconds(event.Time), "attributes": attributes(event.Attributes),
			})
		}
		for _, link := range span.Links() {
			links = append(links, object{
				"trace_id":    link.SpanContext.TraceID().String(),
				"span_id":     link.SpanContext.SpanID().String(),
				"trace_state": link.SpanContext.TraceState().String(),
				"attributes":  attributes(link.Attributes),
			})
		}
		r.sent.Spans = append(r.sent.Spans, object{
			"trace_id":       span.SpanContext().TraceID().String(),
			"span_id":        span.SpanContext().SpanID().String(),
			"parent_span_id": spanID(span.Parent().SpanID()),
			"trace_state":    span.SpanContext().TraceState().String(),
			"name":           span.Name(),
			"kind":           span.SpanKind().String(),
			"start_ns":       nanoseconds(span.StartTime()),
			"end_ns":         nanoseconds(span.EndTime()),
			"attributes":     attributes(span.Attributes()),
			"status_code":    strings.ToLower(span.Status().Code.String()),
			"status_message": span.Status().Description,
			"events":         events,
			"links":          links,
			"scope":          scopeOf(span.InstrumentationScope()),
		})
	}
}

func (r *recorder) keepLogs(batch []sdklog.Record) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, record := range batch {
		r.keepResource(record.Resource())
		found := []attribute.KeyValue{}
		record.WalkAttributes(func(pair attribute.KeyValue) bool {
			found = append(found, pair)
			return true
		})
		r.sent.Logs = append(r.sent.Logs, object{
			"trace_id":        traceID(record.TraceID()),
			"span_id":         spanID(record.SpanID()),
			"trace_flags":     int(record.TraceFlags()),
			"severity_number": int(record.Severity()),
			"severity_text":   record.SeverityText(),
			"event_name":      record.EventName(),
			"body":            anyValue(record.Body()),
			"attributes":      attributes(found),
			"time_ns":         nanoseconds(record.Timestamp()),
			"observed_ns":     nanoseconds(record.ObservedTimestamp()),
			"scope":           scopeOf(record.InstrumentationScope()),
		})
	}
}

func (r *recorder) keepPoints(batch *metricdata.ResourceMetrics) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.keepResource(batch.Resource)
	for _, group := range batch.ScopeMetrics {
		for _, m := range group.Metrics {
			for _, point := range points(m.Data) {
				point["metric"] = m.Name
				point["description"] = m.Description
				point["unit"] = m.Unit
				point["scope"] = scopeOf(group.Scope)
				r.sent.Points = append(r.sent.Points, point)
			}
		}
	}
}

// points has one object for each point of a metric, whatever its kind.
func points(data metricdata.Aggregation) []object {
	switch data := data.(type) {
	case metricdata.Gauge[int64]:
		return numbers("gauge", data.DataPoints, nil)
	case metricdata.Gauge[float64]:
		return numbers("gauge", data.DataPoints, nil)
	case metricdata.Sum[int64]:
		return numbers("sum", data.DataPoints, sum(data.Temporality, data.IsMonotonic))
	case metricdata.Sum[float64]:
		return numbers("sum", data.DataPoints, sum(data.Temporality, data.IsMonotonic))
	case metricdata.Histogram[int64]:
		return histograms(data)
	case metricdata.Histogram[float64]:
		return histograms(data)
	case metricdata.ExponentialHistogram[int64]:
		return exponentialHistograms(data)
	case metricdata.ExponentialHistogram[float64]:
		return exponentialHistograms(data)
	}
	return []object{{"kind": "unknown"}}
}

func sum(temporality metricdata.Temporality, monotonic bool) object {
	return object{"temporality": temporalityName(temporality), "monotonic": monotonic}
}

func temporalityName(temporality metricdata.Temporality) string {
	return strings.ToLower(strings.TrimSuffix(temporality.String(), "Temporality"))
}

func numbers[N int64 | float64](kind string, given []metricdata.DataPoint[N], more object) []object {
	out := []object{}
	for _, point := range given {
		found := pointOf(kind, point.Attributes, point.StartTime, point.Time, point.Exemplars)
		found["value"] = number(point.Value)
		for key, value := range more {
			found[key] = value
		}
		out = append(out, found)
	}
	return out
}

func histograms[N int64 | float64](data metricdata.Histogram[N]) []object {
	out := []object{}
	for _, point := range data.DataPoints {
		found := pointOf("histogram", point.Attributes, point.StartTime, point.Time, point.Exemplars)
		found["temporality"] = temporalityName(data.Temporality)
		summarise(found, point.Count, point.Sum, point.Min, point.Max)
		found["bounds"] = point.Bounds
		found["bucket_counts"] = point.BucketCounts
		out = append(out, found)
	}
	return out
}

func exponentialHistograms[N int64 | float64](data metricdata.ExponentialHistogram[N]) []object {
	out := []object{}
	for _, point := range data.DataPoints {
		found := pointOf("exponential_histogram", point.Attributes, point.StartTime, point.Time, point.Exemplars)
		found["temporality"] = temporalityName(data.Temporality)
		summarise(found, point.Count, point.Sum, point.Min, point.Max)
		found["scale"] = point.Scale
		found["zero_count"] = point.ZeroCount
		found["positive"] = buckets(point.PositiveBucket)
		found["negative"] = buckets(point.NegativeBucket)
		out = append(out, found)
	}
	return out
}

func pointOf[N int64 | float64](
	kind string, set attribute.Set, start, at time.Time, exemplars []metricdata.Exemplar[N],
) object {
	found := []object{}
	for _, exemplar := range exemplars {
		found = append(found, object{
			"trace_id":   hex.EncodeToString(exemplar.TraceID),
			"span_id":    hex.EncodeToString(exemplar.SpanID),
			"time_ns":    nanoseconds(exemplar.Time),
			"value":      number(exemplar.Value),
			"attributes": attributes(exemplar.FilteredAttributes),
		})
	}
	return object{
		"kind": kind, "attributes": attributes(set.ToSlice()), "exemplars": found,
		"start_ns": nanoseconds(start), "time_ns": nanoseconds(at),
	}
}

func summarise[N int64 | float64](into object, count uint64, sum N, smallest, largest metricdata.Extrema[N]) {
	least, _ := smallest.Value()
	most, _ := largest.Value()
	into["count"], into["sum"], into["min"], into["max"] = count, float64(sum), float64(least), float64(most)
}

func buckets(bucket metricdata.ExponentialBucket) object {
	counts := bucket.Counts
	if counts == nil {
		counts = []uint64{}
	}
	return object{"offset": bucket.Offset, "counts": counts}
}

func scopeOf(scope instrumentation.Scope) object {
	return object{
		"name": scope.Name, "version": scope.Version, "schema_url": scope.SchemaURL,
		"attributes": attributes(scope.Attributes.ToSlice()),
	}
}

func attributes(pairs []attribute.KeyValue) object {
	found := object{}
	for _, pair := range pairs {
		found[string(pair.Key)] = anyValue(pair.Value)
	}
	return found
}

// anyValue is one value in OTLP's JSON form; {} stands for no value.
func anyValue(value attribute.Value) object {
	switch value.Type() {
	case attribute.BOOL:
		return object{"boolValue": value.AsBool()}
	case attribute.INT64:
		return number(value.AsInt64())
	case attribute.FLOAT64:
		return number(value.AsFloat64())
	case attribute.STRING:
		return object{"stringValue": value.AsString()}
	case attribute.BYTESLICE:
		return object{"bytesValue": base64.StdEncoding.EncodeToString(value.AsByteSlice())}
	case attribute.BOOLSLICE:
		return array(value.AsBoolSlice(), attribute.BoolValue)
	case attribute.INT64SLICE:
		return array(value.AsInt64Slice(), attribute.Int64Value)
	case attribute.FLOAT64SLICE:
		return array(value.AsFloat64Slice(), attribute.Float64Value)
	case attribute.STRINGSLICE:
		return array(value.AsStringSlice(), attribute.StringValue)
	case attribute.SLICE:
		return array(value.AsSlice(), func(item attribute.Value) attribute.Value { return item })
	case attribute.MAP:
		pairs := []object{}
		for _, pair := range value.AsMap() {
			pairs = append(pairs, object{"key": string(pair.Key), "value": anyValue(pair.Value)})
		}
		return object{"kvlistValue": object{"values": pairs}}
	}
	return object{}
}

func array[T any](items []T, valueOf func(T) attribute.Value) object {
	values := []object{}
	for _, item := range items {
		values = append(values, anyValue(valueOf(item)))
	}
	return object{"arrayValue": object{"values": values}}
}

func number[N int64 | float64](value N) object {
	switch value := any(value).(type) {
	case int64:
		return object{"intValue": strconv.FormatInt(value, 10)}
	case float64:
		switch {
		case math.IsNaN(value):
			return object{"doubleValue": "NaN"}
		case math.IsInf(value, 1):
			return object{"doubleValue": "Infinity"}
		case math.IsInf(value, -1):
			return object{"doubleValue": "-Infinity"}
		}
		return object{"doubleValue": value}
	}
	return object{}
}

func nanoseconds(at time.Time) string {
	if at.IsZero() {
		return "0"
	}
	return strconv.FormatInt(at.UnixNano(), 10)
}

func traceID(id trace.TraceID) string {
	if !id.IsValid() {
		return ""
	}
	return id.String()
}

func spanID(id trace.SpanID) string {
	if !id.IsValid() {
		return ""
	}
	return id.String()
}
