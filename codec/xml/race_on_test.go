//go:build race

package xml_test

const raceDetector = true
