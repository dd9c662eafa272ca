package shop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// order is an order as the HTTP side shows it, internal fields included: the
// shop was written before anyone asked who reads them.
type order struct {
	ID       int64     `json:"id"`
	Customer string    `json:"customer"`
	Email    string    `json:"email"`
	Card     card      `json:"card"`
	Items    []item    `json:"items"`
	Total    float64   `json:"total"`
	Internal *internal `json:"internal,omitempty"`
}

type card struct {
	Number  string `json:"number"`
	Expires string `json:"expires"`
}

type item struct {
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

type internal struct {
	Margin   float64 `json:"margin"`
	Supplier string  `json:"supplier"`
}

func sampleOrder(id int64) order {
	return order{
		ID:       id,
		Customer: "Ada Lovelace",
		Email:    "ada@example.com",
		Card:     card{Number: "4111111111111111", Expires: "12/29"},
		Items:    []item{{SKU: "gear-12", Quantity: 2, Price: 49.95}, {SKU: "crank", Quantity: 1, Price: 30}},
		Total:    129.90,
		Internal: &internal{Margin: 0.31, Supplier: "Difference Engines Ltd"},
	}
}

// httpSide answers the shop's HTTP requests.
type httpSide struct {
	mu     sync.Mutex // guards what follows
	orders map[int64]order
	nextID int64
	down   bool // the rates fail until told otherwise
	fails  int  // the rates fail this many times more
}

// newHandler returns the shop's HTTP side:
//
//	GET  /v1/orders/{id}         an order; every id exists
//	POST /v1/orders              places an order and answers with it: 201
//	POST /v1/orders/{id}         replaces an order and answers with it
//	GET  /v1/rates               the dependency that can be made to fail: 503
//	POST /control/fail?on=BOOL   makes the rates fail, or recover
//	POST /control/fail?count=N   makes the next N answers of the rates fail
//	GET  /healthz                200
func newHandler() http.Handler {
	side := &httpSide{orders: map[int64]order{}, nextID: BigID + 1}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orders/{id}", side.getOrder)
	mux.HandleFunc("POST /v1/orders", side.placeOrder)
	mux.HandleFunc("POST /v1/orders/{id}", side.replaceOrder)
	mux.HandleFunc("GET /v1/rates", side.rates)
	mux.HandleFunc("POST /control/fail", side.fail)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

func (s *httpSide) getOrder(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the id is not a 64-bit integer")
		return
	}
	s.mu.Lock()
	found, ok := s.orders[id]
	s.mu.Unlock()
	if !ok {
		found = sampleOrder(id)
	}
	writeJSON(w, http.StatusOK, found)
}

func (s *httpSide) placeOrder(w http.ResponseWriter, r *http.Request) {
	placed, ok := readOrder(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	placed.ID = s.nextID
	s.nextID++
	s.orders[placed.ID] = placed
	s.mu.Unlock()
	w.Header().Set("Location", fmt.Sprintf("/v1/orders/%d", placed.ID))
	writeJSON(w, http.StatusCreated, placed)
}

func (s *httpSide) replaceOrder(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the id is not a 64-bit integer")
		return
	}
	placed, ok := readOrder(w, r)
	if !ok {
		return
	}
	placed.ID = id
	s.mu.Lock()
	s.orders[id] = placed
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, placed)
}

func (s *httpSide) rates(w http.ResponseWriter, _ *http.Request) {
	if s.ratesFail() {
		writeError(w, http.StatusServiceUnavailable, "rates are down")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"base": "EUR", "rates": map[string]float64{"GBP": 0.87, "USD": 1.08}})
}

func (s *httpSide) ratesFail() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return true
	}
	return s.down
}

func (s *httpSide) fail(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	on, onErr := strconv.ParseBool(query.Get("on"))
	count, countErr := strconv.Atoi(query.Get("count"))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case onErr == nil:
		s.down, s.fails = on, 0
	case countErr == nil && count >= 0:
		s.fails = count
	default:
		writeError(w, http.StatusBadRequest, "give on=true, on=false or count=N")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"failing": s.down, "count": s.fails})
}

// maxOrder is the largest order the shop reads, in bytes.
const maxOrder = 1 << 20

// readOrder reads the request's order, or answers with what is wrong with it
// and returns false.
func readOrder(w http.ResponseWriter, r *http.Request) (order, bool) {
	var placed order
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		writeError(w, http.StatusBadRequest, "the order did not arrive whole")
		return order{}, false
	}
	if err := json.Unmarshal(body, &placed); err != nil {
		writeError(w, http.StatusBadRequest, "not an order: "+err.Error())
		return order{}, false
	}
	return placed, true
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only of values made in this file
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
