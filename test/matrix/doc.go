// Package matrix holds one test: whatever a rule does, it does in every lane.
//
// The rows are tables (tables_test.go for HTTP, calls_test.go for gRPC): what a
// rule does, the format and the encoding of a body, how it is framed. Each row
// runs over every protocol and every lane (lanes_test.go) with real callers and
// an upstream that notes what it is sent. What came of it (result_test.go) has
// to be the same in all lanes but for the differences that normal_test.go
// names, and the same as the golden file of its row, so that all lanes being
// wrong together is noticed.
//
// A new codec, encoding or action is one more line in its table;
// go test ./test/matrix -update then writes the golden files, to be read before
// they are committed.
package matrix
