// Package test holds what is tested across packages: the walls between them
// (arch_test.go), the README's commands (readme_test.go), the image (image),
// and, in folders of their own, real traffic end to end. Its testbed has the
// servers and clients that all tests share.
package test
