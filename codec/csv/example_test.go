package csv_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
)

// Only the cell that was edited differs: quotes, order and line ends stay.
func ExampleCodec() {
	text := "id,\"name\",note\n1,\"Ann\",\"a, b\"\n2,Bob,\n"
	v, original, err := csv.Codec{}.Decode([]byte(text), codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows := v.([]any)
	edited := []any{map[string]any{"id": "1", "name": "Eve", "note": "a, b"}, rows[1]}
	out, err := csv.Codec{}.Encode(original, edited)
	fmt.Print(string(out), err)
	// Output:
	// id,"name",note
	// 1,"Eve","a, b"
	// 2,Bob,
	// <nil>
}

// A stream is edited row by row. The first row decides that there is no more
// password.
func ExampleRows() {
	rows := csv.Codec{}.Rows(codec.Limits{})
	buf := []byte("id,password,name\n1,hunter2,\"Ann\"\n2,\"\",Bob\n")
	for {
		n, row, err := rows.Next(buf, true)
		if n == 0 || err != nil {
			break
		}
		v, original, err := rows.Decode(row, codec.Limits{})
		if err != nil {
			break
		}
		delete(v.(map[string]any), "password")
		out, err := rows.Encode(original, v)
		if err != nil {
			break
		}
		fmt.Print(string(out))
		buf = buf[n:]
	}
	// Output:
	// id,name
	// 1,"Ann"
	// 2,Bob
}
