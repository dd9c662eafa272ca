package proxy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

// Every head, trailer, payload and step of what observers are told is redacted: a
// field that is added to a Record or a Message is filled with a secret as well.
func TestAllThatObserversAreToldIsRedacted(t *testing.T) {
	set, problems := rules.Compile([]rules.File{{Name: "a.yaml", Text: []byte("redact: {headers: x-card, body: .number}\n")}})
	if set == nil {
		t.Fatal(problems)
	}
	x := &exchange{p: &Proxy{Config: Config{Capture: codec.KiB}}, ctx: t.Context()}
	h := hider{x, set.Routes()[0].Redact()}
	for _, told := range []any{new(Record), new(Message)} {
		fillSecret(reflect.ValueOf(told).Elem())
		var filled, left []string
		findSecret(reflect.ValueOf(told), "", &filled)
		switch told := told.(type) {
		case *Record:
			h.record(told)
		case *Message:
			h.message(told)
		}
		findSecret(reflect.ValueOf(told), "", &left)
		if len(filled) < 4 || len(left) > 0 {
			t.Errorf("%T: of %v there is left %v", told, filled, left)
		}
	}
}

const hiddenNumber = "4111"

// fillSecret puts the secret wherever it may stand.
func fillSecret(v reflect.Value) {
	switch at := v.Addr().Interface().(type) {
	case **rules.Head:
		*at = &rules.Head{Method: "GET", Fields: rules.Fields{{Name: "X-Card", Value: hiddenNumber}}}
	case *rules.Fields:
		*at = rules.Fields{{Name: "x-card", Value: hiddenNumber}}
	case *Payload:
		text := `{"number":"` + hiddenNumber + `"}`
		*at = Payload{Bytes: []byte(text), Size: int64(len(text)), Codec: json.Codec{}}
	case *[]rules.StepReport:
		*at = []rules.StepReport{
			{Step: "request[0].jq", Body: map[string]any{"number": hiddenNumber}},
			{Step: "request[1].head", Head: &rules.Head{Fields: rules.Fields{{Name: "x-card", Value: hiddenNumber}}}},
			{Step: "_all.trailers[0].jq", Body: map[string]any{"x-card": hiddenNumber}},
		}
	case **Error:
		*at = &Error{Origin: OriginRule, Err: fmt.Errorf("cannot add: %s", hiddenNumber)}
	default:
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fillSecret(v.Field(i))
				}
			}
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fillSecret(v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fillSecret(v.Index(0))
		}
	}
}

// findSecret adds the paths to all secrets below v.
func findSecret(v reflect.Value, path string, found *[]string) {
	text := ""
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			findSecret(v.Elem(), path, found)
		}
	case reflect.Struct:
		if v.CanInterface() {
			if err, ok := v.Interface().(error); ok {
				text = err.Error()
			}
		}
		for i := range v.NumField() {
			findSecret(v.Field(i), path+"."+v.Type().Field(i).Name, found)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			text = string(v.Bytes())
			break
		}
		for i := range v.Len() {
			findSecret(v.Index(i), fmt.Sprintf("%s[%d]", path, i), found)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			findSecret(v.MapIndex(key), path+"."+key.String(), found)
		}
	case reflect.String:
		text = v.String()
	}
	if strings.Contains(text, hiddenNumber) {
		*found = append(*found, path)
	}
}
