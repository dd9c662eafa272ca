// Package netns builds small networks out of the kernel's network namespaces,
// for tests that need real hosts, real addresses and real redirect rules.
//
//	pod, peer := netns.New(t, "pod"), netns.New(t, "peer")
//	netns.Connect(t, pod, "10.77.0.2/24 fd77::2/64", peer, "10.77.0.1/24 fd77::1/64")
//	conn, err := pod.Dial(ctx, "tcp", "10.77.0.1:80", netns.As{UID: 65534, GID: 65534})
//
// It works on Linux, as root, with the ip command; New skips the test otherwise.
package netns
