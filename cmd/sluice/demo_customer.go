package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// answerBudget bounds the wait for one answer, which takes milliseconds.
const answerBudget = 10 * time.Second

// customer is a running `sluice shop client` as the demo talks to it.
type customer struct {
	commands *os.File
	answers  *os.File
	lines    *bufio.Reader
}

// newCustomer returns a customer and its standard input and output, which the
// caller closes when the process has them.
func newCustomer() (c *customer, stdin, stdout *os.File, err error) {
	stdin, commands, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	answers, stdout, err := os.Pipe()
	if err != nil {
		stdin.Close()
		commands.Close()
		return nil, nil, nil, err
	}
	return &customer{commands: commands, answers: answers, lines: bufio.NewReader(answers)}, stdin, stdout, nil
}

// close ends the customer: its input is over.
func (c *customer) close() {
	c.commands.Close()
	c.answers.Close()
}

// answer is one line that a customer printed: "call -> text".
type answer struct{ call, text string }

// body is the text without the HTTP status before it.
func (a answer) body() string {
	_, body, _ := strings.Cut(a.text, " ")
	return body
}

// ask gives the customer a command and returns its one answer.
func (c *customer) ask(ctx context.Context, command string) (answer, error) {
	deadline := time.Now().Add(answerBudget)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.answers.SetReadDeadline(deadline); err != nil {
		return answer{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.answers.SetReadDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintln(c.commands, command); err != nil {
		return answer{}, fmt.Errorf("ask the customer: %w", err)
	}
	var lines []string
	for {
		line, err := c.lines.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return answer{}, fmt.Errorf("%q was not answered within %v", command, answerBudget)
		case err != nil:
			return answer{}, fmt.Errorf("%q was not answered: the customer ended: %w", command, err)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	if len(lines) != 1 {
		return answer{}, fmt.Errorf("%q: got %d answers, want one: %q", command, len(lines), lines)
	}
	call, text, ok := strings.Cut(lines[0], " -> ")
	if !ok {
		return answer{}, fmt.Errorf("%q: %s", command, lines[0])
	}
	return answer{call, text}, nil
}

// ending bounds how long a program may take to end by itself.
const ending = 2 * time.Second

// program is a process of the demo that runs beside Sluice. It ends when its
// standard input does, so that it outlives nobody.
type program struct{ cmd *exec.Cmd }

// startProgram runs this binary with args. Its own process group keeps a
// terminal's Ctrl-C from it: the demo ends it.
func startProgram(self string, stdin, stdout *os.File, args ...string) (*program, error) {
	cmd := exec.Command(self, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return &program{cmd}, nil
}

// wait waits for the end of a process whose input is over, and kills it if it
// does not come.
func (p *program) wait() {
	kill := time.AfterFunc(ending, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // how it ended is nobody's concern any more
}

// readAddresses reads what `sluice shop` prints when it listens.
func readAddresses(from io.Reader) (httpAddress, grpcAddress string, err error) {
	lines := bufio.NewScanner(from)
	for httpAddress == "" || grpcAddress == "" {
		if !lines.Scan() {
			return "", "", errors.Join(errors.New("the shop ended before it listened"), lines.Err())
		}
		switch name, address, _ := strings.Cut(lines.Text(), " "); name {
		case "http":
			httpAddress = address
		case "grpc":
			grpcAddress = address
		}
	}
	return httpAddress, grpcAddress, nil
}
