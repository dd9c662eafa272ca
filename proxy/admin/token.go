package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// token is what TCP asks for. It keeps the hash alone, for comparing in
// constant time whatever the length.
type token struct {
	hash [sha256.Size]byte
	made string // the file that New made, "" if it was configured
}

// leastToken is the shortest token, in bytes, that a configured file may hold.
const leastToken = 16

// readToken reads the token of a file, without white space around it.
func readToken(path string) (*token, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < leastToken {
		return nil, fmt.Errorf("%s: a token has at least %d characters", path, leastToken)
	}
	return &token{hash: sha256.Sum256([]byte(secret))}, nil
}

// tokenBeside is where the token of a socket is made.
func tokenBeside(socket string) string {
	return strings.TrimSuffix(socket, ".sock") + ".token"
}

// makeToken writes a new token to path, for its owner alone and at once whole.
func makeToken(path string) (_ *token, err error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	text := base64.RawURLEncoding.EncodeToString(secret)
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // 0600
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, err
	}
	return &token{hash: sha256.Sum256([]byte(text)), made: path}, nil
}

// Allows reports whether given is the token that TCP asks for. Without TCP there is
// none. It compares in constant time.
func (s *Server) Allows(given string) bool {
	return s.token != nil && s.token.is(given)
}

// allows reports whether r carries the token.
func (t *token) allows(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && t.is(strings.TrimSpace(given))
}

func (t *token) is(given string) bool {
	hash := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1
}
