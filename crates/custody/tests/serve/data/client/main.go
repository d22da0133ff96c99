// Posts the events on standard input, packed, to URL with TOKEN, and prints the status and the body of the answer.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	events, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var body bytes.Buffer
	packed := gzip.NewWriter(&body)
	if _, err = packed.Write(events); err == nil {
		err = packed.Close()
	}
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequest("POST", os.Args[1], &body)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Args[2])
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d\n%s", response.StatusCode, answer)
}
