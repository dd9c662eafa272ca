package rootless

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// helperName is argv[0] of the namespace's PID 1. It leaves the word sluice
// out, so that `pkill -f sluice` ends the parent alone, in good order.
const helperName = "netns-init"

// MaybeHelper must be the first call of main, before flags are parsed or
// anything is opened. In a process that Start made it becomes PID 1 of the
// namespace and never returns; in any other it returns at once.
func MaybeHelper() {
	if len(os.Args) < 5 || os.Args[0] != helperName {
		return
	}
	os.Exit(helper(os.Args[1], os.Args[2], os.Args[4:]))
}

// helper is the life of PID 1: set up, then obey until the parent is gone. Its
// return ends every process of the namespace.
func helper(ordersFD, socketsFD string, argv []string) int {
	orders, err := inheritedControl(ordersFD)
	if err == nil {
		var sockets *control
		if sockets, err = inheritedControl(socketsFD); err == nil {
			go serveSockets(sockets)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", helperName, err)
		return ExitFailed
	}
	command := newCommand(argv, orders)
	if err := takeSetup(orders, command); err != nil {
		return ExitFailed
	}
	for {
		var o order
		if _, err := orders.receive(&o); err != nil {
			return 0
		}
		switch {
		case o.Run:
			command.start()
		case o.Signal != 0:
			go command.forward(o.Signal)
		}
	}
}

func inheritedControl(arg string) (*control, error) {
	fd, err := strconv.Atoi(arg)
	if err != nil {
		return nil, err
	}
	return newControl(fd)
}

// takeSetup receives the first order, obeys it, and passes the listeners out.
// Its error has been reported already.
func takeSetup(orders *control, command *command) error {
	var first order
	if _, err := orders.receive(&first); err != nil {
		return err
	}
	if first.Setup == nil {
		return errors.New("the first order is not setup")
	}
	command.back = first.Setup.Back
	sockets, err := setUp(first.Setup)
	_ = os.WriteFile("/proc/self/comm", []byte(helperName), 0) // else it is "exe"
	if err != nil {
		step := "set up"
		if named := (*setupError)(nil); errors.As(err, &named) {
			step, err = named.step, named.err
		}
		_ = orders.send(failure(step, err))
		return err
	}
	var ready report
	var fds []int
	for _, s := range sockets {
		ready.Sockets = append(ready.Sockets, s.name)
		fds = append(fds, int(s.file.Fd()))
	}
	err = orders.send(ready, fds...)
	for _, s := range sockets {
		s.file.Close()
	}
	return err
}

// serveSockets makes sockets on request until the parent is gone.
func serveSockets(requests *control) {
	for {
		var o order
		if _, err := requests.receive(&o); err != nil {
			return
		}
		fd, err := socketInside(o.Socket)
		if err != nil {
			_ = requests.send(failure("make a socket inside", err))
			continue
		}
		_ = requests.send(report{Sockets: []string{"tcp"}}, fd)
		unix.Close(fd)
	}
}
