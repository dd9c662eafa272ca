package detect

// Answer is whether bytes are what was asked for.
type Answer uint8

// The answers.
const (
	No    Answer = iota
	Maybe        // further bytes are needed
	Yes
)

// SettingsFrame tells whether b, what a server said first, begins with an
// HTTP/2 SETTINGS frame: the one thing that an HTTP/2 server may say before its
// caller's preface (RFC 9113, 3.4), and that grpc-go's does say. No protocol
// whose server greets begins so: the frame has a length that is a multiple of
// six, type 4, no flags and stream 0.
func SettingsFrame(b []byte) Answer {
	for i, c := range b[:min(len(b), 9)] {
		switch i {
		case 0: // the length's upper bytes: more than 64 settings do not happen
			if c != 0 {
				return No
			}
		case 1:
			if c > 1 {
				return No
			}
		case 2:
			if (int(b[1])<<8|int(c))%6 != 0 {
				return No
			}
		case 3:
			if c != 4 {
				return No
			}
		default:
			if c != 0 {
				return No
			}
		}
	}
	if len(b) < 9 {
		return Maybe
	}
	return Yes
}
