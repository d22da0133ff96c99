package main

type channelsParcel struct {
	to   chan<- channelsParcel
	n    int
	text *string
}

// A ring of goroutines that hand on values of a new type; blocked in new code when the rollback comes.
//
//go:noinline
func channels(n int) string {
	word := "new"
	first := make(chan channelsParcel)
	var in <-chan channelsParcel = first
	for i := 0; i < 7; i++ {
		out := make(chan channelsParcel)
		go func(in <-chan channelsParcel, out chan<- channelsParcel) {
			parcel := <-in
			parcel.n += n
			out <- parcel
		}(in, out)
		in = out
	}
	first <- channelsParcel{text: &word}
	parcel := <-in
	return say(*parcel.text, parcel.n%13)
}
