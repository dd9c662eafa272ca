package document

// Schema returns a JSON Schema (draft 2020-12) of the values of s, in the types of
// encoding/json. It takes every value that s takes as YAML's core schema reads
// it, and no unknown key; keys that are not there yet are unknown. What cannot
// be said in a schema, such as whether a program compiles, it lets through.
func (s Shape) Schema() map[string]any {
	out := s.schema()
	switch {
	case s.Short != nil:
		return map[string]any{"anyOf": []any{s.Short.Schema(), out}}
	case s.Null:
		return map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}
	}
	return out
}

func (s Shape) schema() map[string]any {
	switch s.Kind {
	case "object":
		return s.objectSchema()
	case "map":
		return map[string]any{"type": "object", "additionalProperties": s.Items.Schema()}
	case "list":
		list := map[string]any{"type": "array", "items": s.Items.Schema(), "minItems": 1}
		if s.Single {
			return map[string]any{"anyOf": []any{s.Items.Schema(), list}}
		}
		return list
	case "program": // true, 1 and null are programs too
		return map[string]any{"type": []any{"string", "boolean", "number", "null"}}
	case "integer":
		out := map[string]any{"type": "integer"}
		if s.Lowest < s.Highest {
			out["minimum"], out["maximum"] = s.Lowest, s.Highest
		}
		return out
	case "boolean":
		return map[string]any{"type": "boolean"}
	case "duration":
		return map[string]any{"type": "string", "pattern": durationPattern}
	case "instant":
		return map[string]any{"type": "string", "pattern": instantPattern}
	case "rate":
		return map[string]any{"type": "string", "pattern": rateText.String()}
	case "percent":
		return map[string]any{"type": "string", "pattern": percentText.String()}
	case "size":
		size := map[string]any{"type": "string", "pattern": sizeText.String()}
		if len(s.Enum) > 0 {
			return map[string]any{"anyOf": []any{size, map[string]any{"enum": s.Enum}}}
		}
		return size
	case "any":
		return map[string]any{}
	}
	if len(s.Enum) > 0 {
		return map[string]any{"enum": s.Enum}
	}
	return map[string]any{"type": "string"}
}

// durationPattern is what [time.ParseDuration] takes, but zero and less.
const durationPattern = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// instantPattern is the form of what RFC 3339 takes.
const instantPattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})$`

func (s Shape) objectSchema() map[string]any {
	properties := make(map[string]any)
	var required []any
	for _, f := range s.Fields {
		if f.Shape.Kind == "later" {
			continue
		}
		property := f.Shape.Schema()
		property["description"] = f.Doc
		if len(f.Examples) > 0 {
			property["examples"] = f.Examples
		}
		properties[f.Key] = property
		if f.Required {
			required = append(required, f.Key)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	return out
}
