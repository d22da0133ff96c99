// A server that keeps its own log, and a client, to hold a probe against.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	lines []string
)

type recorder struct {
	http.ResponseWriter
	status, bytes int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = 200
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += n
	return n, err
}

func deep(n int) int {
	var room [128]int
	room[n%128] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + room[(n+1)%128]
}

// handler answers /STATUS/BYTES/…; it logs "method path status bytes trace nanoseconds".
func handler(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rec := &recorder{ResponseWriter: w}
	how := ""
	defer func() {
		if problem := recover(); problem != nil {
			how = "aborted"
		}
		if rec.status == 0 && how == "" {
			rec.status = 200
		}
		took := time.Since(began).Nanoseconds()
		mu.Lock()
		lines = append(lines, fmt.Sprintf("%s %s %d %d %q %q %d", r.Method, r.URL.Path, rec.status, rec.bytes, r.Header.Get("Traceparent"), how, took))
		mu.Unlock()
		if how == "aborted" {
			panic(http.ErrAbortHandler)
		}
	}()
	io.Copy(io.Discard, r.Body)
	parts := strings.Split(r.URL.Path, "/")
	switch parts[1] {
	case "panic":
		panic("as asked")
	case "hijack":
		how = "hijacked"
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			conn.Close()
		}
		return
	case "recover":
		func() { defer func() { recover() }(); panic("inside") }()
	case "deep":
		deep(500)
	}
	status, _ := strconv.Atoi(parts[2])
	bytes, _ := strconv.Atoi(parts[3])
	if status != 0 {
		rec.WriteHeader(status)
	}
	if bytes > 0 {
		rec.Write(make([]byte, bytes))
	}
}

func serve() {
	log.SetOutput(io.Discard)
	var server *httptest.Server
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch words[0] {
		case "start":
			server = httptest.NewUnstartedServer(http.HandlerFunc(handler))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if words[1] == "h2" {
				server.EnableHTTP2 = true
				server.StartTLS()
			} else {
				server.Start()
			}
			fmt.Println(server.URL)
		case "log":
			server.Close()
			os.WriteFile(words[1], []byte(strings.Join(lines, "\n")), 0o600)
			fmt.Println(len(lines))
		case "load":
			number, _ := strconv.Atoi(words[2])
			fmt.Println(load(words[1], number))
		}
	}
}

var methods = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"}

func ask(client *http.Client, url string, i int) int {
	kind := "plain"
	status := []int{200, 201, 404, 0, 500, 302, 418}[i%7]
	bytes := (i % 5) * 700
	switch {
	case i%97 == 0:
		kind = "panic"
	case i%89 == 0 && !strings.HasPrefix(url, "https"):
		kind = "hijack"
	case i%13 == 0:
		kind = "recover"
	case i%17 == 0:
		kind = "deep"
	}
	method := methods[i%6]
	if kind == "panic" || kind == "hijack" {
		method = "POST" // a request with a body is not sent again
	}
	var body io.Reader
	if method == "POST" || method == "PUT" {
		body = strings.NewReader(strings.Repeat("x", i%3000))
	}
	request, _ := http.NewRequest(method, fmt.Sprintf("%s/%s/%d/%d/%d?secret=%d", url, kind, status, bytes, i, i), body)
	if i%3 == 0 {
		request.Header.Set("traceparent", fmt.Sprintf("00-%032x-%016x-01", i+1, i+1))
	}
	for extra := 0; i%4 == 0 && extra < i%20; extra++ {
		request.Header.Set(fmt.Sprintf("X-Extra-%d", extra), "value")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return 1
}

func load(url string, number int) int {
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var all sync.WaitGroup
	var answered sync.Map
	for worker := 0; worker < 32; worker++ {
		all.Add(1)
		go func(worker int) {
			defer all.Done()
			sum := 0
			for i := worker; i < number; i += 32 {
				sum += ask(client, url, i)
			}
			answered.Store(worker, sum)
		}(worker)
	}
	all.Wait()
	sum := 0
	answered.Range(func(_, n any) bool { sum += n.(int); return true })
	client.CloseIdleConnections()
	return sum
}

func main() { serve() }
