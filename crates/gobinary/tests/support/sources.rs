//! The programs that the tests build: one module, a program in each folder.

/// Every file and its content.
pub(crate) const SOURCES: &[(&str, &str)] = &[
    ("go.mod", GO_MOD),
    ("main.go", MAIN),
    ("withc/main.go", WITH_C),
    ("sums/go.mod", "module example.com/sums\n\ngo 1.18\n"),
    ("sums/sums.go", SUMS),
    ("stacks/main.go", STACKS),
    ("types/main.go", TYPES),
    ("server/main.go", SERVER),
    ("tell/tell.go", TELL),
    ("telling/main.go", TELLING),
    ("shared/main.go", SHARED),
];

const GO_MOD: &str = "module example.com/teller

go 1.18

require example.com/sums v0.1.0

replace example.com/sums v0.1.0 => ./sums
";

const SUMS: &str = r#"package sums

type Number interface{ ~int | ~int64 | ~float64 }

//go:noinline
func Total[T Number](values []T) (sum T) {
	for _, v := range values {
		sum += v
	}
	return sum
}
"#;

const MAIN: &str = r#"package main

import (
	"fmt"
	"os"

	"example.com/sums"
)

type account struct{ balance int64 }

//go:noinline
func (a *account) deposit(amount int64) error {
	if amount <= 0 {
		return fmt.Errorf("deposit of %d", amount)
	}
	a.balance += amount
	return nil
}

func main() {
	a := &account{}
	each := func(n int64) {
		if err := a.deposit(n); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	for n := range os.Args {
		each(int64(n))
	}
	fmt.Println(a, sums.Total([]int64{1, 2}), sums.Total([]float64{1.5, 2}))
}
"#;

const WITH_C: &str = r#"package main

// #include <stdlib.h>
// static int twice(int n) { return n * 2; }
import "C"
import "fmt"

func main() { fmt.Println(C.twice(21), C.abs(-3)) }
"#;

/// A C-free program whose functions are inlined into each other and print the stack they run on.
pub(crate) const STACKS: &str = r#"package main

import (
	"fmt"
	"runtime"
)

type teller struct{ balance int64 }

func innermost(n int64) int64 {
	buffer := make([]byte, 1<<16)
	fmt.Printf("stack %s", buffer[:runtime.Stack(buffer, false)])
	return n
}

func (t *teller) middle(n int64) { t.balance += innermost(n) }

func outer(t *teller, n int64) {
	t.middle(n + 1)
}

//go:noinline
func physical(t *teller, pad [40]int64) int64 {
	outer(t, pad[3])
	outer(t, pad[5])
	func() { outer(t, pad[4]) }()
	return t.balance
}

func main() {
	defer func() { fmt.Println(recover()); outer(&teller{}, 5) }()
	fmt.Println(physical(&teller{}, [40]int64{}))
	var none *teller
	none.middle(3)
}
"#;

/// A program with types of every kind.
const TYPES: &str = r#"package main

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
)

type depositor interface{ Deposit(amount int64) error }

type account struct {
	balance int64
	name    string
	sums    map[string][]int
	next    *account
	Tagged  int `json:"t" db:"tagged"`
	sync.Mutex
	inform func(string, ...any) error
	last   [3]int32
}

func (a *account) Deposit(amount int64) error { a.balance += amount; return nil }

type ledger map[string]account

func (l ledger) Total() (sum int64) {
	for _, a := range l {
		sum += a.balance
	}
	return
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

type stream <-chan *account

//go:noinline
func open(name string) depositor { return &account{name: name} }

func main() {
	d := open(os.Args[0])
	fmt.Println(d.Deposit(3), d, ledger{"a": {}}, pair[int, string]{1, "x"}, stream(nil), netip.Addr{})
	fmt.Println(ledger{}.Total(), any(ledger{}).(interface{ Total() int64 }).Total())
}
"#;

/// What a service is made of: some ten thousand functions.
const SERVER: &str = r#"package main

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

type account struct {
	Name    string    `json:"name"`
	Balance int64     `json:"balance,omitempty"`
	Since   time.Time `json:"since"`
}

type store[K comparable, V any] struct {
	lock sync.RWMutex
	kept map[K]V
}

func (s *store[K, V]) get(key K) (value V, found bool) {
	s.lock.RLock()
	defer s.lock.RUnlock()
	value, found = s.kept[key]
	return
}

func (s *store[K, V]) each(visit func(K, V)) {
	for key, value := range s.kept {
		visit(key, value)
	}
}

var page = template.Must(template.New("page").Parse("<h1>{{.Name}}</h1>"))

type service struct {
	accounts store[string, *account]
	totals   store[int, float64]
	base     *sql.DB
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, ok := s.accounts.get(r.URL.Path)
	if !ok {
		http.Error(w, "no such account", http.StatusNotFound)
		return
	}
	packed := gzip.NewWriter(w)
	defer packed.Close()
	if err := json.NewEncoder(packed).Encode(found); err != nil {
		log.Println(err)
	}
	if err := page.Execute(packed, found); err != nil {
		log.Println(err)
	}
}

func main() {
	s := &service{}
	names := []string{}
	s.accounts.each(func(name string, _ *account) { names = append(names, name) })
	s.totals.each(func(int, float64) {})
	sort.Slice(names, func(i, j int) bool { return names[i] < names[j] })
	server := &http.Server{Addr: os.Args[0], Handler: s, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	go func() {
		if s.base != nil {
			s.base.QueryContext(context.Background(), "SELECT 1")
		}
	}()
	log.Fatal(server.ListenAndServeTLS("", ""), names)
}
"#;

/// Prints what the runtime itself says of the program that it is part of: one line for each function and for other
/// places in the code, one for each type and field that can be reached from some.
const TELL: &str = r#"package tell

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"unsafe"
)

// Functions are aligned to 32 bytes, or to 16.
const step = 16

// Code of C may lie between Go's.
const gap = 1 << 20

func All(to io.Writer, roots ...any) {
	w := bufio.NewWriter(to)
	defer w.Flush()
	functions(w)
	seen := map[reflect.Type]bool{}
	for _, root := range roots {
		types(w, seen, reflect.TypeOf(root))
	}
}

func functions(w io.Writer) {
	anchor := reflect.ValueOf(All).Pointer()
	anchor -= anchor % step
	first := anchor
	for pc := anchor; anchor-pc < anchor && first-pc < gap; pc -= step {
		if runtime.FuncForPC(pc) != nil {
			first = pc
		}
	}
	entry, last := uintptr(0), first
	for pc := first; pc-last < gap; pc += step {
		f := runtime.FuncForPC(pc)
		if f == nil {
			continue
		}
		last = pc
		if f.Entry() == entry && pc%256 != 0 {
			continue
		}
		entry = f.Entry()
		file, line := f.FileLine(pc)
		fmt.Fprintf(w, "code\t%x\t%x\t%s\t%s\t%d\n", pc, entry, f.Name(), file, line)
	}
}

func types(w io.Writer, seen map[reflect.Type]bool, t reflect.Type) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	at := (*[2]uintptr)(unsafe.Pointer(&t))[1]
	fmt.Fprintf(w, "type\t%x\t%d\t%s\t%s\n", at, t.Size(), t.Kind(), t.String())
	switch t.Kind() {
	case reflect.Array, reflect.Chan, reflect.Ptr, reflect.Slice:
		types(w, seen, t.Elem())
	case reflect.Map:
		types(w, seen, t.Key())
		types(w, seen, t.Elem())
	case reflect.Func:
		for i := 0; i < t.NumIn(); i++ {
			types(w, seen, t.In(i))
		}
		for i := 0; i < t.NumOut(); i++ {
			types(w, seen, t.Out(i))
		}
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			fmt.Fprintf(w, "field\t%x\t%d\t%s\n", at, f.Offset, f.Name)
			types(w, seen, f.Type)
		}
	}
}
"#;

const TELLING: &str = r#"package main

import (
	"net/url"
	"os"
	"reflect"
	"text/tabwriter"
	"time"

	"example.com/teller/tell"
)

type account struct {
	balance int64
	next    *account
	held    map[string][]time.Time
}

func main() {
	tell.All(os.Stdout, account{}, os.File{}, url.URL{}, tabwriter.Writer{}, reflect.Method{}, time.Timer{})
}
"#;

/// A library that tells the same of itself.
const SHARED: &str = r#"package main

import "C"

import (
	"net/url"
	"os"
	"reflect"
	"time"

	"example.com/teller/tell"
)

//export Tell
func Tell() { tell.All(os.Stdout, os.File{}, url.URL{}, reflect.Method{}, time.Timer{}) }

func main() {}
"#;
