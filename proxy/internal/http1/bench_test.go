package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

const typicalRequest = "GET /api/v1/users/12345?expand=orders HTTP/1.1\r\n" +
	"Host: users.example.svc.cluster.local:8080\r\n" +
	"User-Agent: Go-http-client/1.1\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip\r\n" +
	"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n" +
	"X-Request-Id: 5f0c3a0e-7d0c-4a5e-9f55-111111111111\r\n" +
	"Connection: keep-alive\r\n" +
	"\r\n"

const typicalResponse = "HTTP/1.1 200 OK\r\n" +
	"Date: Mon, 23 Nov 2026 14:00:00 GMT\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 1234\r\n" +
	"Cache-Control: no-store\r\n" +
	"Vary: Accept-Encoding\r\n" +
	"\r\n"

func BenchmarkRequest(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		in := []byte(typicalRequest)
		var r Request
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			if n, err := r.Parse(in, Limits{}); n != len(in) || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("net/http", func(b *testing.B) {
		src := strings.NewReader(typicalRequest)
		br := bufio.NewReader(src)
		b.SetBytes(int64(len(typicalRequest)))
		b.ReportAllocs()
		for b.Loop() {
			src.Reset(typicalRequest)
			br.Reset(src)
			if _, err := http.ReadRequest(br); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	in := []byte(typicalResponse)
	var r Response
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(in, Limits{}, "GET"); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	var in []byte
	for range 16 {
		in = AppendChunk(in, bytes.Repeat([]byte("x"), 1024))
	}
	in = AppendLastChunk(in, nil)
	var body Body
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(Framing{Kind: Chunked})
		if n, done, err := body.Pass(in); n != len(in) || !done || err != nil {
			b.Fatal(n, done, err)
		}
	}
}

func BenchmarkAppendEdited(b *testing.B) {
	var r Request
	if _, err := r.Parse([]byte(typicalRequest), Limits{}); err != nil {
		b.Fatal(err)
	}
	edits := []LineEdit{{Index: 4, Remove: true}, {Index: len(r.Fields), Name: "X-Added", Value: "1"}}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendEdited(out[:0], r.Line, r.Fields, edits)
	}
}
