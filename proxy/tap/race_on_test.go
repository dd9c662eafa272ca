//go:build race

package tap

// raceDetector makes a sync.Pool drop some of what it is given.
const raceDetector = true
