// Package rules turns rule files into an immutable [Set] and applies its
// routes to messages.
//
// The story, in call order: [Compile] parses, validates and compiles the files
// of a directory, and answers with a Set or with every [Problem] found;
// [Set.Match] finds the [Route] of a request by its head alone; [Steps.Run]
// applies the steps of the route's request or response to a message; a
// [Breaker] says what counts as a failure and when to open. [Live] holds the
// set in force and its generation.
//
// What a file may say is written down once, as the tables of fields.go; package
// document reads by them. view.go makes of heads and outcomes what programs
// see, edit.go writes back what they changed.
//
// Nothing here does input or output or looks at a clock: the same rules and
// the same message give the same answer, so that the offline test of a rule is
// what production does. The caller brings the instant, the bytes and the
// decoding.
package rules
