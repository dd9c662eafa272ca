// Package hostile tests that Sluice stands where peers mean it ill: floods,
// bombs, slow and deaf peers, ambiguous requests and garbage for answers. In
// each case what is bad ends with its own connection: nothing ambiguous reaches
// the other side, memory stays bounded, and a good caller beside is served in
// time. The peers are bare sockets; both lanes stand the same tests.
package hostile
