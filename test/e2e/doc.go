// Package e2e tests the promises of the README on real traffic: the built
// binary, in a pod made of a network namespace, between a service that runs
// under a user of its own and a peer on another host, with the redirect rules
// that the binary itself applied. One file is one promise.
package e2e
