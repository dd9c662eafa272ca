// Package traffic is the load and the backend of the benchmarks: as cheap as
// they can be, so that the proxy between them is what is busy.
//
// Both are one thread with an epoll loop, prebuilt bytes and parsers that know
// no more than they need. They are strict all the same: an answer with another
// status, length or content than it ought to have is an error, and a run with
// an error is no measurement.
package traffic
