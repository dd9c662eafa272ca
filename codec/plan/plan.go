// Package plan holds programs of simple edits as data: which places of a message
// a program reads and writes, and what it does there. Whoever compiles a
// program to a [Plan] and whoever runs it on the bytes of a format share
// nothing else.
//
// A plan states jq's meaning for the messages on which its program does nothing
// odd. Whoever runs it stops, and says so, as soon as it meets what would be an
// error in jq, or anything that it cannot do with certainty: then the program
// itself has to run. So a plan has no errors of its own, and its operators are
// partial on purpose.
//
// As in jq, null and what is not there are the same to whoever reads, a
// condition holds if it is neither false nor null, and a write makes the objects
// that are not there, or null, on its way. Every statement sees what the ones
// before it left. A compiler sees to it that none reads a part of what another
// has put in whole, or the whole of what another has changed in part.
package plan

import (
	"regexp"

	"github.com/sluice-proxy/sluice/codec"
)

// Plan is a compiled program. It is immutable once made.
type Plan struct {
	// Places is a tree of the places that the program looks at; Places[0] is
	// the message itself. A place stands behind its parent.
	Places []Place
	Body   []Stmt // what is done to the message, in order
	// Result, if set, is what the program yields of what Body left. Without
	// it that is the message.
	Result *Expr
}

// Place is a step into the message.
type Place struct {
	Parent   int // 0 for the children of the root, and for the root itself
	Kind     PlaceKind
	Key      string // of a Member
	Index    int    // of an Element, not negative
	Lenient  bool   // of an Every: there are none where there is neither an array nor an object
	Children []int  // the places whose parent this is, in order
	// Counted says that the length of the place matters.
	Counted bool
	// Members says that all elements of the array in the place matter, not just
	// those that Children name: some are taken out by index.
	Members bool
}

// PlaceKind is the kind of a [Place].
type PlaceKind uint8

// The kinds of places.
const (
	Root    PlaceKind = iota
	Member            // of an object, by Key
	Element           // of an array, by Index
	Every             // each element of an array, and each member of an object; it is its parent's only child
)

// Stmt is one edit. Its places are the one that it works on, or below that: the
// message, or the place of the Within or Each around it. By and the Expr of all
// but Modify and Filter are worked out there.
type Stmt struct {
	Op    StmtOp
	Place int
	Expr  *Expr  // the value or the condition
	By    *Expr  // if set, what Operand is in this and what follows: worked out once and first
	Then  []Stmt // of If, Within, Each
	Else  []Stmt // of If
	// Keys and Exprs are the members of Rebuild and Merge, by place, in no order.
	Keys  []int
	Exprs []*Expr
	Lists bool // the loops to Place are over arrays only
	Step  int  // of Stop and Note: what the caller knows it by, 0 to 63
}

// StmtOp is what a [Stmt] does.
type StmtOp uint8

// The statements. A place below an Every means all that there are.
const (
	Set     StmtOp = iota // put the value of Expr in Place, worked out once
	Modify                // put in each Place the value that Expr has there
	Within                // do Then in each Place; what was not there is null then
	Each                  // do Then in each Place, which must be there
	Delete                // take out Place
	If                    // Then if Expr holds, else Else
	Select                // nothing comes of the message unless Expr holds
	Filter                // take out the elements of the array in Place for which Expr, worked out at each, does not hold. Expr's places are below the Every of Place
	Rebuild               // make of the object the one of Keys and Exprs
	Merge                 // put Exprs in the Keys of the object, all of them worked out first
	Leave                 // leave the message to the program itself: it raises an error
	Note                  // say that Step has run
	Stop                  // end everything if Expr holds
)

// Expr is a value. Its places are the one that it is worked out at, or below.
type Expr struct {
	Op    ExprOp
	Place int         // Read, Has, Any, All, Sum
	Value codec.Value // Literal
	Text  []byte      // of a Literal that is a string: its bytes, never nil
	Var   int         // Variable: its number
	Path  []any       // Variable: keys (string) and indexes (int) into it
	Args  []*Expr
	Keys  []string // Object: the names of Args, sorted
	Regex *Regex   // Test, Replace
	All   bool     // Replace: each match, not just the first
}

// Regex is a regular expression and what it costs to look for it.
type Regex struct {
	Find    *regexp.Regexp
	Literal []byte // what it matches, if that is only this
	Weight  int    // steps for each byte of a text that a search for one match takes at most
	Reach   int    // how often the search for all matches looks at a byte at most; 0: nobody knows
	Least   int    // bytes of the shortest match; Replace of All has at least one
}

// ExprOp is how an [Expr] is worked out. Where an operand is not of the types
// named, the plan cannot tell.
type ExprOp uint8

// The expressions.
const (
	Read     ExprOp = iota // what is in Place; null if nothing is
	Literal                // Value
	Variable               // what is at Path in a variable
	Operand                // By of the last statement that had one
	Object                 // an object of Keys and Args
	Array                  // an array of Args

	And   // both hold; Args[1] counts only if Args[0] holds
	Or    // one holds
	Not   // Args[0] does not hold
	Bool  // Args[0], which must be a boolean
	Alt   // Args[0] if it holds, else Args[1]
	Cond  // Args[1] if Args[0] holds, else Args[2]
	Has   // whether the object at Place's parent has Place
	Any   // whether Args[0], worked out at each Place, which is an Every, holds once
	All   // whether it holds always. Of an object all members are asked: jq's order is that of their names
	Sum   // of the numbers that Args[0] is at each Place, an Every of an array, where Args[1] holds if there is one; null if there are none
	Equal // of scalars, or of anything with a scalar
	Unequal
	Less
	LessEqual
	Greater
	GreaterEqual

	Add      // numbers, strings, arrays, objects; null and anything
	Subtract // numbers
	Multiply
	Divide
	Modulo

	TypeOf    // the name of the type
	Length    // of a string in characters, of an array, of null
	ToString  // a string, an integer, a boolean or null
	ToNumber  // a number, or a string that spells an integer
	Downcase  // ASCII letters
	Upcase    // ASCII letters
	Trim      // white space at both ends
	TrimLeft  // white space at the front
	TrimRight // white space at the end
	CutPrefix // Args[0] without the prefix Args[1]
	CutSuffix // Args[0] without the suffix Args[1]
	HasPrefix // whether Args[0] begins with Args[1]
	HasSuffix // whether Args[0] ends with Args[1]
	Contains  // whether the string Args[1] is in the string Args[0]
	Test      // whether Regex matches somewhere in the string Args[0]
	Replace   // the string Args[0] with the string Args[1] in place of what Regex matches
	Floor     // of a number
	Ceil
	Round // half away from zero
	Trunc
	Join // the Args, each as ToString has it, one behind the other
)
