package proxy

import "testing"

func TestDrawsHitTheirShare(t *testing.T) {
	d := newDraws(7)
	hits := 0
	for range 100_000 {
		if d.hits(0.25) {
			hits++
		}
	}
	if hits < 24_000 || hits > 26_000 {
		t.Errorf("%d of 100,000 at 25%%", hits)
	}
	for range 100 {
		if d.hits(0) || !d.hits(1) {
			t.Fatal("never or always is by chance")
		}
	}
}
