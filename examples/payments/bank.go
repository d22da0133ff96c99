package main

import (
	"errors"
	"sync"
	"time"
)

// ErrRefused is the answer to a payment that cannot be made.
var ErrRefused = errors.New("payment refused")

// Payment moves an amount, in cents, from one account to another.
type Payment struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// Settlement is what became of a payment.
type Settlement struct {
	Payment
	Fee int64 `json:"fee"`
}

// Bank keeps balances in memory and settles payments on a fixed pool of goroutines.
type Bank struct {
	mu       sync.Mutex
	balances map[string]int64
	jobs     chan job
	workers  sync.WaitGroup
}

type job struct {
	payment Payment
	answer  chan answer
}

type answer struct {
	settlement Settlement
	err        error
}

// openingBalance is what every account holds when it is first seen.
const openingBalance = 1_000_000

// NewBank starts the pool.
func NewBank(workers int) *Bank {
	bank := &Bank{balances: make(map[string]int64), jobs: make(chan job)}
	for range max(workers, 1) {
		bank.workers.Add(1)
		go bank.work()
	}
	return bank
}

// Close lets the pool finish what it holds.
func (b *Bank) Close() {
	close(b.jobs)
	b.workers.Wait()
}

// Pay hands a payment to the pool and waits for its settlement.
func (b *Bank) Pay(payment Payment) (Settlement, error) {
	answers := make(chan answer, 1)
	b.jobs <- job{payment, answers}
	got := <-answers
	return got.settlement, got.err
}

// Balance is what an account holds, in cents.
func (b *Bank) Balance(account string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.balance(account)
}

func (b *Bank) work() {
	defer b.workers.Done()
	for job := range b.jobs {
		settlement, err := b.settle(job.payment)
		job.answer <- answer{settlement, err}
	}
}

func (b *Bank) settle(payment Payment) (Settlement, error) {
	if payment.Amount <= 0 || payment.From == "" || payment.To == "" || payment.From == payment.To {
		return Settlement{}, ErrRefused
	}
	charge := fee(payment.Amount)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.balance(payment.From) < payment.Amount+charge {
		return Settlement{}, ErrRefused
	}
	b.balances[payment.From] -= payment.Amount + charge
	b.balances[payment.To] = b.balance(payment.To) + payment.Amount
	return Settlement{payment, charge}, nil
}

// balance opens the account when it is new. The caller holds the lock.
func (b *Bank) balance(account string) int64 {
	if _, known := b.balances[account]; !known {
		b.balances[account] = openingBalance
	}
	return b.balances[account]
}

// fee is half a per cent, rounded up, at least one cent.
//
//go:noinline
func fee(amount int64) int64 {
	return max(1, (amount+199)/200)
}

// report is the slow path: it works for about the given time and yields to no one.
//
//go:noinline
func report(span time.Duration) (rounds uint64) {
	for end := time.Now().Add(span); time.Now().Before(end); rounds++ {
		for range 10_000 {
			rounds ^= rounds << 1
		}
	}
	return rounds
}
