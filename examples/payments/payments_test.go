package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestPaymentsConserveMoney(t *testing.T) {
	bank := NewBank(4)
	defer bank.Close()
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := bank.Pay(Payment{"alice", "bob", 1000}); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if got := bank.Balance("bob"); got != openingBalance+100*1000 {
		t.Errorf("bob holds %d", got)
	}
	if got := bank.Balance("alice"); got != openingBalance-100*(1000+5) {
		t.Errorf("alice holds %d", got)
	}
}

func TestFee(t *testing.T) {
	for amount, want := range map[int64]int64{1: 1, 200: 1, 201: 2, 1000: 5, 100_001: 501} {
		if got := fee(amount); got != want {
			t.Errorf("fee(%d) = %d, want %d", amount, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	bank := NewBank(1)
	defer bank.Close()
	server := httptest.NewServer(routes(bank))
	defer server.Close()
	for body, want := range map[string]int{
		`{"from":"alice","to":"bob","amount":5}`:          http.StatusOK,
		`{"from":"alice","to":"alice","amount":5}`:        http.StatusUnprocessableEntity,
		`{"from":"alice","to":"bob","amount":99999999}`:   http.StatusUnprocessableEntity,
		`{"from":"alice","to":"bob","amount":5,"more":1}`: http.StatusBadRequest,
		`not json`: http.StatusBadRequest,
	} {
		response, err := http.Post(server.URL+"/pay", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", body, response.StatusCode, want)
		}
	}
}
