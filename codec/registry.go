package codec

import (
	"mime"
	"strings"
)

// Registry finds the codec of a media type. The zero Registry knows none.
type Registry struct {
	byType map[string]Codec
	byName map[string]Codec
	typeOf map[string]string // by name
}

// Format is a codec together with the media types that mean it, in lower case
// and without parameters; "+json" stands for every type with that suffix but
// images. A nil Codec keeps its types from being claimed by a suffix.
type Format struct {
	Codec Codec
	Types []string
}

// Dependent is a [Codec] that depends on the parameters of its media type, such
// as the boundary of multipart.
type Dependent interface {
	Codec

	// For returns the codec for a Content-Type field's value of its type. The
	// error says that it cannot be read by that.
	For(contentType string) (Codec, error)
}

// NewRegistry returns a registry of formats. Of two that claim one media type
// the later wins.
func NewRegistry(formats ...Format) *Registry {
	r := &Registry{byType: map[string]Codec{}, byName: map[string]Codec{}, typeOf: map[string]string{}}
	for _, f := range formats {
		if f.Codec != nil {
			r.byName[f.Codec.Name()] = f.Codec
			if len(f.Types) > 0 {
				r.typeOf[f.Codec.Name()] = f.Types[0]
			}
		}
		for _, t := range f.Types {
			r.byType[t] = f.Codec
		}
	}
	return r
}

// ByName returns the codec that a rule file calls name.
func (r *Registry) ByName(name string) (Codec, bool) {
	c, ok := r.byName[name]
	return c, ok
}

// TypeOf returns the media type that the codec called name is written as: the
// first of its Format's. It is "" if there is none.
func (r *Registry) TypeOf(name string) string { return r.typeOf[name] }

// Default returns the codec that writes what has no other format: JSON. It is
// nil if the registry has no codec named json.
func (r *Registry) Default() Codec { return r.byName["json"] }

// ByContentType returns the codec of a Content-Type field's value.
func (r *Registry) ByContentType(value string) (Codec, bool) {
	media := value
	if !isPlain(value) {
		var err error
		if media, _, err = mime.ParseMediaType(value); err != nil && media == "" {
			return nil, false
		}
	}
	c, ok := r.byType[media]
	if i := strings.LastIndexByte(media, '+'); !ok && i >= 0 && !strings.HasPrefix(media, "image/") {
		c = r.byType[media[i:]]
	}
	if dependent, ok := c.(Dependent); ok {
		var err error
		if c, err = dependent.For(value); err != nil {
			return nil, false
		}
	}
	return c, c != nil
}

// isPlain reports whether a content type is nothing but a media type in lower
// case, as most are: where there are no other characters, nothing is left to be
// parsed.
func isPlain(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == '/':
		default:
			return false
		}
	}
	return true
}
