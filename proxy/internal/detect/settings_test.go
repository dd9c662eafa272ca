package detect

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
)

func TestSettingsFrame(t *testing.T) {
	var frame bytes.Buffer
	http2.NewFramer(&frame, nil).WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16384}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	for name, c := range map[string]struct {
		b    []byte
		want Answer
	}{
		"empty settings": {[]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), Yes},
		"settings":       {frame.Bytes(), Yes},
		"acknowledged":   {[]byte("\x00\x00\x00\x04\x01\x00\x00\x00\x00"), No},
		"MySQL greeting": {[]byte("\x4a\x00\x00\x00\x0a8.0.36"), No},
		"SMTP greeting":  {[]byte("220 mail"), No},
		"length 5":       {[]byte("\x00\x00\x05\x04"), No},
	} {
		if got := SettingsFrame(c.b); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		if c.want != Yes {
			continue
		}
		for n := range 9 {
			if got := SettingsFrame(c.b[:n]); got != Maybe {
				t.Errorf("%s, %d bytes: got %d, want Maybe", name, n, got)
			}
		}
	}
}
